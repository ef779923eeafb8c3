"""The laptop's pods as processes, with the flags and variables they have there, but for ports and folders."""

from __future__ import annotations

import re
import signal
import sys
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

MONITORS = DEPLOY / "components" / "monitoring" / "monitors.yaml"


def _container(name: str) -> Manifest:
    (found,) = [container for container in containers("laptop") if container["name"] == name]
    return found


def _settings(container: Manifest, **here: Any) -> dict[str, Any]:
    """By the names of fields; `here` is what is another place in the test."""
    prefix = READERS[container["image"].partition(":")[0]].model_config["env_prefix"]
    there = {name.removeprefix(prefix).lower(): value for name, value in environment(container).items()}
    assert set(here) <= {*there, "http_port", "grpc_port"}
    return {**there, **here}


@pytest.mark.skipif(not CONFORMANCE, reason="TENSORGATE_CONFORMANCE names no folder of SavedModels")
def test_they_find_each_other_become_ready_and_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key("tests", file=tmp_path / "keys.jsonl")
    secret = capsys.readouterr().out.strip()
    elsewhere = {"--port": "--port=0", "--rest_api_port": "--rest_api_port=0"}
    flags = [
        elsewhere.get(flag.partition("=")[0], flag.replace("/etc/model-server", str(DEPLOY / "base")))
        for flag in _container("model-server")["args"]
    ]
    store, python = tmp_path / "store", [sys.executable, "-m"]
    with started([*python, "services.model_server", *flags]) as (_, server):
        address = f"127.0.0.1:{server['grpc_port']}"
        mirror = _settings(
            _container("mirror"), store=store, folder=tmp_path / "models", model_server=address, metrics_port=0
        )
        gateway = _settings(
            *(_container("gateway"),),
            **{
                "store": store,
                "model_server": address,
                "keys": tmp_path / "keys.jsonl",
                "http_port": 0,
                "grpc_port": 0,
            },
        )
        with (
            started([*python, "services.mirror"], "mirror", **mirror) as (_, pages),
            started([*python, "services.gateway"], **gateway) as (door, ports),
            httpx.Client(base_url=f"http://127.0.0.1:{ports['http_port']}", timeout=30) as client,
        ):
            probes = f"http://127.0.0.1:{pages['metrics_port']}"
            client.headers["Authorization"] = f"Bearer {secret}"
            _check_probe(address)
            until(lambda: httpx.get(f"{probes}/readyz").status_code == 200, seconds=30)  # there is nothing to wait for
            site = Site(client, tmp_path)
            site.publish("half_plus_two", "1", HALF)
            until(lambda: site.regress("half_plus_two", {"x": 1}).status_code == 200, seconds=90)
            until(lambda: httpx.get(f"{probes}/readyz").status_code == 200, seconds=30)  # when it looks again
            assert client.get("/readyz").status_code == 200
            _check_names(f"http://127.0.0.1:{server['rest_port']}")
            door.send_signal(signal.SIGTERM)
            assert door.wait(30) == 0


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
