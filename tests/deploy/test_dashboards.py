"""No panel is empty: each query is asked of a Prometheus that sees gateway, mirror and model servers under load."""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.dashboards import DASHBOARDS
from tests.deploy.manifests import DEPLOY
from tests.gateway.models import png, publish_all
from tests.gateway.test_process import MODEL_SERVER, started
from tests.gateway.test_real_server import CONFORMANCE, HALF, Site
from tests.polling import until

pytestmark = [
    pytest.mark.skipif(not os.environ.get("TENSORGATE_PROMETHEUS"), reason="it takes a minute: make monitoring-check"),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed: make monitoring-check"),
    pytest.mark.skipif(not CONFORMANCE, reason="TENSORGATE_CONFORMANCE names no folder of SavedModels"),
]

PYTHON = (sys.executable, "-m")
EVENTS = {"Accept": "text/event-stream"}


def test_no_panel_is_empty(tmp_path: Path) -> None:
    with ExitStack() as stack:
        targets = stack.enter_context(system(tmp_path))
        stack.enter_context(load(f"http://{targets['gateway']}"))
        api = stack.enter_context(prometheus(tmp_path, targets))
        asked = {
            f"{board.title}, {panel.title}: {query}": query.replace("$__rate_interval", "15s")
            for board in DASHBOARDS
            for panel in board.panels
            for query, _ in panel.queries
        }
        empty = dict(asked)

        def all_told() -> bool:
            for name, query in list(empty.items()):
                if tells(api, query):
                    del empty[name]
            return not empty

        try:
            until(all_told, seconds=90, every=1)
        except AssertionError:
            pytest.fail("empty: " + "\n".join(empty))


def tells(api: str, query: str) -> bool:
    """There is a line, and a number in it."""
    reply = httpx.get(f"{api}/query", params={"query": query}).json()
    assert reply["status"] == "success", f"{query}: {reply}"
    return any(not math.isnan(float(one["value"][1])) for one in reply["data"]["result"])


@contextmanager
def system(root: Path) -> Iterator[dict[str, str]]:
    """Everything of compose.yaml as processes, and a tiny model server for texts and pictures; where each page is.

    The mirror cannot load the tiny models, which are no SavedModels: so there are faults to see, too.
    """
    config = DEPLOY / "base" / "monitoring.config"
    publish_all(str(root / "store"))
    with ExitStack() as stack:
        flags = ("--port=0", "--rest_api_port=0", f"--monitoring_config_file={config}", "--max_num_load_retries=0")
        _, server = stack.enter_context(started([*PYTHON, "services.model_server", *flags]))
        _, tiny = stack.enter_context(started([sys.executable, str(MODEL_SERVER), "0.01"]))
        real, store = f"127.0.0.1:{server['grpc_port']}", root / "store"
        mirror: dict[str, Any] = {"store": store, "folder": root / "mirror", "model_server": real, "metrics_port": 0}
        mirror["disk_bytes"] = 1 << 30
        _, pages = stack.enter_context(started([*PYTHON, "services.mirror"], "mirror", **mirror))
        both = f"{real},{tiny['address']}"
        door: dict[str, Any] = {"store": store, "model_server": both, "http_port": 0, "grpc_port": 0}
        door["rare"] = "half_plus_two"
        _, ports = stack.enter_context(started([*PYTHON, "services.gateway"], **door))
        gateway = f"127.0.0.1:{ports['http_port']}"
        site = Site(stack.enter_context(httpx.Client(base_url=f"http://{gateway}", timeout=30)), root)
        site.publish("half_plus_two", "1", HALF)
        until(lambda: site.regress("half_plus_two", {"x": 1}).status_code == 200, seconds=90)
        yield {
            "gateway": gateway,
            "mirror": f"127.0.0.1:{pages['metrics_port']}",
            "model-server": f"127.0.0.1:{server['rest_port']}",
        }


@contextmanager
def load(base: str) -> Iterator[None]:
    """Many kinds of requests, some wrong, each asked again and again by two clients."""
    kinds: list[Callable[[httpx.Client], Any]] = [
        lambda rest: rest.post("/api/models/half_plus_two/regress", json={"instance": {"x": 1}}),
        lambda rest: rest.post("/api/models/digits/classify", content=png(), headers={"Content-Type": "image/png"}),
        lambda rest: rest.post("/api/models/writer/generate-text", json={"prompt": "a", "length": 50}, headers=EVENTS),
        lambda rest: rest.post("/api/models/sketcher/generate-image", json={"total": 9}),
        lambda rest: rest.post("/api/models/nobody/regress", json={"instance": {"x": 1}}),
    ]
    over = threading.Event()

    def ask(kind: Callable[[httpx.Client], Any]) -> None:
        with httpx.Client(base_url=base, timeout=30) as rest:
            while not over.wait(0.02):
                kind(rest)

    clients = [threading.Thread(target=ask, args=(kind,)) for kind in kinds for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        over.set()
        for client in clients:
            client.join()


@contextmanager
def prometheus(root: Path, targets: dict[str, str]) -> Iterator[str]:
    """With compose.yaml's configuration but for the targets, and every second; where to ask."""
    config = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = ["rules.yaml"]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    (root / "prometheus.yaml").write_text(yaml.safe_dump(config))
    rules = yaml.safe_load((DEPLOY / "rules.yaml").read_text())
    for group in rules["groups"]:
        group.pop("interval", None)
    (root / "rules.yaml").write_text(yaml.safe_dump(rules))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = (f"--config.file={root}/prometheus.yaml", f"--storage.tsdb.path={root}/tsdb")
    process = subprocess.Popen(
        ["prometheus", *flags, f"--web.listen-address={address}", "--log.level=error"], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _is_up(address), seconds=30)
        yield f"http://{address}/api/v1"
    finally:
        process.kill()
        process.wait()


def _is_up(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
