"""The laptop's pods as processes, with the flags and variables they have there, but for ports and folders."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.keys import key
from tests.deploy.manifests import DEPLOY, Manifest, containers, environment
from tests.deploy.settings import READERS
from tests.gateway.test_process import started
from tests.gateway.test_real_server import CONFORMANCE, HALF, Site
from tests.polling import until

_FREE_PORTS = {"http_port": 0, "grpc_port": 0, "operations_port": 0}
MONITORS = DEPLOY / "components" / "monitoring" / "monitors.yaml"


def _container(name: str) -> Manifest:
    (found,) = [container for container in containers("laptop") if container["name"] == name]
    return found


def _settings(container: Manifest, here: Mapping[str, Any]) -> dict[str, Any]:
    """By the names of fields; `here` is what is another place in the test."""
    prefix = READERS[container["image"].partition(":")[0]].model_config["env_prefix"]
    there = {name.removeprefix(prefix).lower(): value for name, value in environment(container).items()}
    assert set(here) <= {*there, *_FREE_PORTS}
    return {**there, **here}


@dataclass(frozen=True)
class Pods:
    """What is running: the model server's two ports, the mirror's pages, the gateway's probes, the gateway and who asks
    it with a key.
    """

    grpc: str
    rest: str
    mirror: str
    operations: str
    gateway: subprocess.Popen[str]
    site: Site


@contextmanager
def _model_server() -> Iterator[Mapping[str, int]]:
    elsewhere = {"--port": "--port=0", "--rest_api_port": "--rest_api_port=0"}
    flags = [
        elsewhere.get(flag.partition("=")[0], flag.replace("/etc/model-server", str(DEPLOY / "base")))
        for flag in _container("model-server")["args"]
    ]
    with started([sys.executable, "-m", "services.model_server", *flags]) as (_, ports):
        yield ports


@pytest.fixture
def pods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Pods]:
    """All three, over an empty store."""
    key("tests", file=tmp_path / "keys.jsonl")
    secret = capsys.readouterr().out.strip()
    with _model_server() as server:
        meet = {"store": tmp_path / "store", "model_server": f"127.0.0.1:{server['grpc_port']}"}
        mirror = _settings(_container("mirror"), {**meet, "folder": tmp_path / "models", "metrics_port": 0})
        door = _settings(_container("gateway"), {**meet, "keys": tmp_path / "keys.jsonl", **_FREE_PORTS})
        with (
            started([sys.executable, "-m", "services.mirror"], "mirror", **mirror) as (_, pages),
            started([sys.executable, "-m", "services.gateway"], **door) as (gateway, ports),
            httpx.Client(base_url=f"http://127.0.0.1:{ports['http_port']}", timeout=30) as client,
        ):
            client.headers["Authorization"] = f"Bearer {secret}"
            asked = (server["rest_port"], pages["metrics_port"], ports["operations_port"])
            rest, probes, operations = (f"http://127.0.0.1:{port}" for port in asked)
            site = Site(client, tmp_path)
            yield Pods(f"127.0.0.1:{server['grpc_port']}", rest, probes, operations, gateway, site)


@pytest.mark.skipif(not CONFORMANCE, reason="TENSORGATE_CONFORMANCE names no folder of SavedModels")
def test_they_find_each_other_become_ready_and_answer(pods: Pods) -> None:
    _check_probe(pods.grpc)
    until(lambda: _is_ready(pods), seconds=30)  # nothing is published, so there is nothing to wait for
    pods.site.publish("half_plus_two", "1", HALF)
    until(lambda: pods.site.regress("half_plus_two", {"x": 1}).status_code == 200, seconds=90)
    until(lambda: _is_ready(pods), seconds=30)
    assert httpx.get(f"{pods.operations}/readyz").status_code == 200
    assert pods.site.rest.get("/readyz").status_code == 404
    _check_names(pods.rest)
    pods.gateway.send_signal(signal.SIGTERM)
    assert pods.gateway.wait(30) == 0


def _is_ready(pods: Pods) -> bool:
    return httpx.get(f"{pods.mirror}/readyz").status_code == 200


def _check_probe(address: str) -> None:
    """As the kubelet asks: of no service in particular."""
    with grpc.insecure_channel(address) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def _check_names(rest: str) -> None:
    """Every name on TensorFlow Serving's page is one that Prometheus's operator makes clean."""
    (monitor,) = [each for each in yaml.safe_load_all(MONITORS.read_text()) if each["kind"] == "PodMonitor"]
    (page,) = [each for each in monitor["spec"]["podMetricsEndpoints"] if each["port"] == "rest"]
    told = re.findall(r"^(:[\w:]+)", httpx.get(f"{rest}{page['path']}").text, re.MULTILINE)
    rules = [rule["regex"] for rule in page["metricRelabelings"]]
    assert told and not [name for name in told if not any(re.fullmatch(rule, name) for rule in rules)]
