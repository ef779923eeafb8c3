# Two verbs to know: `make up` serves the starter models on this machine, `make test` runs every test.
# Both do all set-up themselves; they need Python 3.11, 3.12 or 3.13 and this machine's package index, nothing else.

PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
# Real data and recorded exchanges, when they lie beside this checkout: tests that need them skip otherwise.
ifneq ($(wildcard ../shared/datasets),)
export TENSORGATE_DATASETS ?= $(realpath ../shared/datasets)
endif
ifneq ($(wildcard ../shared/conformance),)
export TENSORGATE_CONFORMANCE ?= $(realpath ../shared/conformance)
endif

.PHONY: help install up test fuzz conformance check deploy-check engines-check monitoring monitoring-check format proto lock clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed  ## create .venv and install everything pinned in requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Tensorgate needs Python 3.11, 3.12 or 3.13; none of python3, python3.11 to python3.13 is one." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Installing python3-venv (this Python has no venv module)"; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q python3-venv; \
	  else sudo apt-get update -q && sudo apt-get install -y -q python3-venv; fi; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

up: install  ## train and serve the starter models; Ctrl-C stops everything
	@exec $(BIN)/tensorgate up

# One process more than processors, because tests of kills and of time limits mostly wait. They start a hundred processes
# of ours: without bytecode on the disk each would compile all of it.
test: export PYTHONDONTWRITEBYTECODE =
test: install  ## run all tests
	$(BIN)/pytest --numprocesses $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder

fuzz: install  ## look for bad input that is not refused, and for answers that are another's: an hour
	$(BIN)/pytest tests/fuzz --hypothesis-profile=long --timeout=0 -s
	for parser in $$($(BIN)/python -c 'from tests.fuzz.parsers import PARSERS; print(*PARSERS)'); do \
	  $(BIN)/python -m tests.fuzz.with_atheris $$parser -runs=50000 -max_len=4096 -timeout=10 -rss_limit_mb=1024 || exit 1; done
	$(BIN)/python -m tests.fuzz.mixed

# MODELS=folder: the mirror's tests, too; the server finds that folder at the same path, and loses the models that it has.
conformance: install  ## replay what TensorFlow Serving was recorded to answer against a server: make conformance TFS=host:port
	@$(BIN)/python -m tests.conformance $(TFS)
	$(if $(MODELS),TENSORGATE_TFS=$(TFS) TENSORGATE_TFS_MODELS=$(MODELS) $(BIN)/pytest tests/mirror/test_mirror.py)

check: install  ## lint, types, import rules, generated files, what needs no images of deploy/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory proto && git diff --exit-code --stat -- services/stubs
	$(BIN)/pytest --quiet tests/deploy

# What is fast of it is in `make test`, too. Images are built on bases of Debian's packages, so no registry is asked.
deploy-check: export TENSORGATE_IMAGES = 1
deploy-check: install  ## check deploy/ with every tool; build all images and run them (as root, a quarter of an hour)
	@for tool in buildah debootstrap promtool; do command -v $$tool > /dev/null || { apt-get update -q \
	  && apt-get install -y -q --no-install-recommends buildah debootstrap prometheus; break; }; done
	$(BIN)/pytest tests/deploy

engines-check: install  ## training on Ray and Kubernetes, and Alertmanager's alerts that begin it (as root, two minutes)
	@command -v prometheus-alertmanager > /dev/null || { apt-get update -q \
	  && apt-get install -y -q --no-install-recommends prometheus-alertmanager; }
	$(BIN)/pytest tests/trainer/test_ray_engine.py tests/trainer/test_ray_models.py tests/cli/test_jobs.py \
	  tests/cli/test_retrain_hook.py

monitoring: install  ## write Prometheus's rules and Grafana's dashboards; RUNBOOKS=https://... is docs/operations.md's address
	$(BIN)/python -m deploy.monitoring $(RUNBOOKS:%=--runbooks %)

monitoring-check: export TENSORGATE_PROMETHEUS = 1
monitoring-check: install  ## ask every panel's query of a Prometheus that sees a real load (as root, a minute)
	@command -v prometheus > /dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends prometheus; }
	$(BIN)/pytest tests/deploy/test_alerts.py tests/deploy/test_dashboards.py tests/gateway/test_metrics.py tests/mirror/test_metrics.py \
	  tests/model_server/test_metrics.py

format: install  ## format the code
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

# The virtual include path makes the generated files import each other as services.stubs.*.
proto: install  ## regenerate services/stubs from proto/
	@$(BIN)/python -m grpc_tools.protoc -Iservices/stubs=proto --python_out=. --pyi_out=. --grpc_python_out=. \
	  $(patsubst proto/%,services/stubs/%,$(shell find proto -name '*.proto'))

# Needs uv. tensorflow-serving-api asks for the full tensorflow wheel; tensorflow-cpu is the same code without CUDA.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
  --no-header --quiet
# The gateway and the mirror have no terminal to write to.
TERMINAL := markdown-it-py mdurl pygments rich shellingham typer
LOCKS := deploy/requirements

lock:  ## pin the newest allowed versions in requirements.lock, and in deploy/requirements what each image has of them
	echo tensorflow-cpu | $(COMPILE) --upgrade --extra train --extra dev pyproject.toml - -o requirements.lock
	$(COMPILE) -c requirements.lock $(TERMINAL:%=--no-emit-package %) --extra tracing pyproject.toml -o $(LOCKS)/serving.lock
	echo tensorflow-cpu | $(COMPILE) -c requirements.lock --extra train --extra kubernetes pyproject.toml - -o $(LOCKS)/training.lock
	printf 'cyclonedx-bom\nsetuptools\n' | $(COMPILE) -c requirements.lock - -o $(LOCKS)/image.lock
	sed -i '/^tensorflow==/,/^[a-z]/{/^tensorflow==/d;/^    --hash/d}' requirements.lock $(LOCKS)/*.lock

clean:  ## remove the virtual environment and caches (models and runs stay in .tensorgate)
	rm -rf .images .schemathesis .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
