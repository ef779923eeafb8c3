"""compose.yaml is what Docker Compose takes, and asks for nothing that is not there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.model_server.settings import parse
from tests.deploy import settings
from tests.deploy.manifests import DEPLOY, ROOT, containers, tool
from tests.deploy.monitored import PROMETHEUS, relabelled
from tests.deploy.test_kubernetes import THEIRS
from tests.gateway.test_real_server import CONFORMANCE


@pytest.fixture(scope="module")
def compose() -> Mapping[str, Any]:
    """The file as Compose understands it: anchors and paths resolved, unknown fields refused."""
    command = [tool("docker-compose"), "--file", str(DEPLOY / "compose.yaml"), "--profile", "*", "config"]
    run = subprocess.run([*command, "--format", "json"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    config: Mapping[str, Any] = json.loads(run.stdout)
    return config


def test_every_setting_exists_and_takes_its_value(compose: Mapping[str, Any]) -> None:
    for name, service in compose["services"].items():
        image = "" if name == "bucket" else service["image"].partition(":")[0]
        told = {key: value for key, value in service.get("environment", {}).items() if not key.startswith("GF_")}
        assert not settings.faults(image, told), name


def test_images_are_those_that_the_cluster_runs(compose: Mapping[str, Any]) -> None:
    cluster = {container["image"] for container in containers("cpu")}
    images = {service["image"] for service in compose["services"].values()}
    assert cluster <= images
    others = {"chrislusf/seaweedfs", "grafana/grafana", "prom/prometheus"}
    assert {image.partition(":")[0] for image in images - cluster} == others
    assert all(re.fullmatch(r".+:v?\d+(\.\d+)+", image) for image in images)
    for service in compose["services"].values():
        if "build" in service:
            assert Path(service["build"]["context"]) == ROOT
            assert service["image"].startswith(f"tensorgate/{service['build']['target']}:")


def test_what_runs_our_models_and_requests_is_contained(compose: Mapping[str, Any]) -> None:
    for name, service in compose["services"].items():
        if service["image"].startswith(("tensorgate/", "tensorflow/")):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert service["user"] != "0", name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name


def test_the_model_server_is_started_as_in_a_cluster(compose: Mapping[str, Any]) -> None:
    (cluster,) = [container for container in containers("cpu") if container["name"] == "model-server"]
    server = compose["services"]["model-server"]
    assert server["entrypoint"] == cluster["command"]
    assert set(server["command"]) == set(cluster["args"]) - {"--enable_grpc_healthcheck_service=true"}
    parse([flag for flag in server["command"] if flag.partition("=")[0] not in THEIRS])


def test_prometheus_looks_where_pages_are(compose: Mapping[str, Any]) -> None:
    jobs = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    targets = [target for job in jobs for config in job["static_configs"] for target in config["targets"]]
    assert targets == ["gateway:8080", "mirror:9100", "model-server:8501"]
    assert {target.partition(":")[0] for target in targets} <= set(compose["services"])


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed: make deploy-check does that")
    config = yaml.safe_load(PROMETHEUS.read_text())
    config["rule_files"] = [str(DEPLOY / "rules.yaml")]  # where it is here
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    run = subprocess.run([promtool, "check", "config", tmp_path / "prometheus.yaml"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_prometheus_and_grafana_find_what_they_are_given(compose: Mapping[str, Any]) -> None:
    given = {each["target"]: each["source"] for each in compose["services"]["prometheus"]["configs"]}
    assert [given[path] for path in yaml.safe_load(PROMETHEUS.read_text())["rule_files"]] == ["rules"]
    assert Path(compose["configs"]["rules"]["file"]) == DEPLOY / "rules.yaml"
    grafana = compose["services"]["grafana"]
    boards = next(volume for volume in grafana["volumes"] if volume["type"] == "bind")
    assert Path(boards["source"]) == DEPLOY / "components" / "monitoring" / "dashboards"
    (provider,) = yaml.safe_load(compose["configs"]["grafana-dashboards"]["content"])["providers"]
    assert provider["options"]["path"] == boards["target"]


def test_a_cluster_looks_at_pages_as_compose_does() -> None:
    """By the same names of jobs, which rules ask for, and with the same names made clean."""
    jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    monitors = yaml.safe_load_all((DEPLOY / "components" / "monitoring" / "monitors.yaml").read_text())
    specs = [each["spec"] for each in monitors if each["kind"].endswith("Monitor")]
    pages = [page for spec in specs for page in spec.get("endpoints", spec.get("podMetricsEndpoints"))]
    assert [page["relabelings"][0]["replacement"] for page in pages] == list(jobs)
    for page, job in zip(pages, jobs.values(), strict=True):
        assert page["path"] == job.get("metrics_path", "/metrics")
        clean = [(rule["regex"], rule["replacement"]) for rule in page.get("metricRelabelings", ())]
        assert clean == [(rule["regex"], rule["replacement"]) for rule in job.get("metric_relabel_configs", ())]


@pytest.mark.skipif(not CONFORMANCE, reason="TENSORGATE_CONFORMANCE names no folder of recorded exchanges")
def test_every_name_that_tensorflow_serving_told_becomes_clean() -> None:
    records = map(json.loads, (Path(CONFORMANCE) / "rest.jsonl").read_text().splitlines())
    (told,) = [record["response"]["metrics"] for record in records if record["id"] == "rest-0337"]
    assert len(told) > 100
    clean = {name: relabelled(name) for name in told}
    assert clean.pop(":tensorflow:serving:request_count") == "tensorflow_serving_requests_total"
    assert clean == {name: name.lstrip(":").replace(":", "_") for name in clean}
    assert not [name for name in clean.values() if ":" in name]
