"""The gateway as the process that people run: light, quick to start, strict about its settings, clean to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.gateway.models import publish_all
from tests.polling import until

MODEL_SERVER = Path(__file__).with_name("backend_process.py")
PORTS = ("http_port", "operations_port")
INSTANCES = {"houses": {"rooms": 2}, "affine": {"x": 2}}


@dataclass(frozen=True)
class Running:
    """A gateway process and where it listens."""

    process: subprocess.Popen[str]
    http: str
    grpc: str
    operations: str

    def regress(self, model: str) -> httpx.Response:
        """One request that the model server answers."""
        return httpx.post(f"{self.http}/api/models/{model}/regress", json={"instance": INSTANCES[model]}, timeout=30)

    def has_asked(self, *models: str) -> bool:
        """The model server has been called once for each of these."""
        page = httpx.get(f"{self.operations}/metrics").text
        return all(f'tensorgate_gateway_batch_rows_count{{model="{model}"}} 1.0' in page for model in models)


def environment(room: str = "gateway", **settings: Any) -> dict[str, str]:
    """This environment with a room's settings."""
    prefix = f"TENSORGATE_{room.upper()}_"
    return {**os.environ, **{prefix + name.upper(): str(value) for name, value in settings.items()}}


@contextmanager
def started(
    command: list[str], room: str = "gateway", *, stderr: Any = None, **settings: Any
) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A process, and the JSON line it prints when it is ready; killed at the end if it is still there."""
    process = subprocess.Popen(
        command, env=environment(room, **settings), stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny models, published and labelled."""
    root = tmp_path_factory.mktemp("store")
    publish_all(str(root))
    return root


@contextmanager
def gateway(store: Path, *, answer_seconds: float = 0, **settings: Any) -> Iterator[Running]:
    """A gateway process over a model server process that takes its time."""
    with (
        started([sys.executable, str(MODEL_SERVER), str(answer_seconds)]) as (_, server),
        started(
            [sys.executable, "-m", "services.gateway"],
            store=store,
            model_server=server["address"],
            http_port=0,
            grpc_port=0,
            **settings,
        ) as (process, ports),
    ):
        http, operations = (f"http://127.0.0.1:{ports[name] or ports['http_port']}" for name in PORTS)
        running = Running(process, http, f"127.0.0.1:{ports['grpc_port']}", operations)
        until(lambda: httpx.get(f"{operations}/readyz").status_code == 200, seconds=30)
        yield running


def test_tensorflow_is_never_imported() -> None:
    code = "import services.gateway.process, sys; print([m for m in sys.modules if m.split('.')[0] == 'keras'])"
    run = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "tensorflow.core.framework.tensor_pb2" in imported  # the messages alone
    assert "tensorflow" not in imported
    assert not {name for name in imported if name.startswith(("tensorflow.python", "boto3", "botocore"))}


def test_it_is_small(store: Path) -> None:
    with gateway(store) as running:
        process = Path(f"/proc/{running.process.pid}")
        resident = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
        assert "libtensorflow" not in (process / "maps").read_text()
    assert int(resident.split()[1]) / 1024 <= 100


def test_a_misspelt_setting_stops_the_start() -> None:
    command = [sys.executable, "-m", "services.gateway"]
    run = subprocess.run(command, env=environment(htp_port=1), capture_output=True, text=True, timeout=20)
    assert run.returncode != 0
    assert "Received: TENSORGATE_GATEWAY_HTP_PORT" in run.stderr
    assert "TENSORGATE_GATEWAY_HTTP_PORT" in run.stderr
    assert "Traceback" not in run.stderr
    run = subprocess.run(command, env=environment(http_port="eighty"), capture_output=True, text=True, timeout=20)
    assert run.returncode != 0
    assert "http_port" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_taken_port_stops_the_start_with_a_sentence(store: Path) -> None:
    with gateway(store) as running:
        for name in ("http", "grpc"):
            port = getattr(running, name).rpartition(":")[2]
            settings = {"http_port": 0, "grpc_port": 0, f"{name}_port": port}
            command = [sys.executable, "-m", "services.gateway"]
            run = subprocess.run(command, env=environment(**settings), capture_output=True, text=True, timeout=20)
            assert run.returncode == 1
            assert port in run.stderr
            assert "Traceback" not in run.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_running_requests_first(store: Path, number: signal.Signals) -> None:
    with gateway(store, answer_seconds=3) as running, ThreadPoolExecutor(2) as pool:
        health = health_pb2_grpc.HealthStub(grpc.insecure_channel(running.grpc))
        flips = health.Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(flips).status == health_pb2.HealthCheckResponse.SERVING
        answers = [pool.submit(running.regress, model) for model in INSTANCES]
        until(lambda: running.has_asked(*INSTANCES), seconds=20)
        running.process.send_signal(number)
        assert next(flips).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert [answer.result().status_code for answer in answers] == [200, 200]
        assert running.process.wait(10) == 0


def test_a_request_that_takes_too_long_does_not_keep_the_process(store: Path) -> None:
    with gateway(store, answer_seconds=60, drain_seconds=1) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(running.regress, "houses")
        until(lambda: running.has_asked("houses"), seconds=20)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert time.monotonic() - began < 15
        assert answer.exception() is not None or answer.result().status_code >= 500
