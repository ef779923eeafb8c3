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
from tests.deploy.test_kubernetes import THEIRS

PROMETHEUS = DEPLOY / "prometheus.yaml"


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
        assert not settings.faults(image, service.get("environment", {})), name


def test_images_are_those_that_the_cluster_runs(compose: Mapping[str, Any]) -> None:
    cluster = {container["image"] for container in containers("cpu")}
    images = {service["image"] for service in compose["services"].values()}
    assert cluster <= images
    assert {image.partition(":")[0] for image in images - cluster} == {"chrislusf/seaweedfs", "prom/prometheus"}
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


def test_prometheus_takes_its_configuration() -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed: make deploy-check does that")
    run = subprocess.run([promtool, "check", "config", str(PROMETHEUS)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
