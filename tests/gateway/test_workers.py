"""Several processes on one port: counted together, none missed when one dies, none lost when all stop."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.stubs.tensorgate.v1 import inference_pb2 as pb
from services.stubs.tensorgate.v1 import inference_pb2_grpc
from tests.gateway.models import EXPECTED
from tests.gateway.test_process import MODEL_SERVER, Running, environment, gateway, started, store
from tests.polling import until

__all__ = ["store"]  # a fixture

HOUSES_VALUES = 'model="houses",output="values",version="1"'
BODY = b'{"instance": {"rooms": 2}}'
REGRESS = (
    b"POST /api/models/houses/regress HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


@pytest.fixture(scope="module")
def two(store: Path) -> Iterator[Running]:
    """A gateway of two workers, with a port for operations."""
    with gateway(store, workers=2, operations_port=0) as running:
        yield running


def workers_of(running: Running) -> set[int]:
    """Process ids of those that listen or will."""
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    return {int(pid) for pid in children.split()}


def counts_of(running: Running) -> Path:
    """The folder where the workers count."""
    job = Path(f"/proc/{min(workers_of(running))}/cmdline").read_text().split("\0")[3]
    return Path(json.loads(job)["counts"])


def files_of(running: Running) -> set[str]:
    """What lies there."""
    return {path.name for path in counts_of(running).iterdir()}


def gone(pid: int) -> bool:
    """No such process, or one that has ended and waits for its parent to know."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def counted(running: Running, operation: str = "regress") -> float:
    """Requests that the metrics page tells of."""
    page = httpx.get(f"{running.operations}/metrics").text
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    return sum(
        sample.value
        for sample in samples
        if sample.name == "tensorgate_gateway_requests_total" and sample.labels["operation"] == operation
    )


def value(running: Running, line: str) -> float:
    """What the metrics page tells, by its name with labels; 0 if it is not there yet."""
    page = httpx.get(f"{running.operations}/metrics").text
    return next((float(one.rpartition(" ")[2]) for one in page.splitlines() if one.startswith(line + " ")), 0.0)


async def ask_until(port: int, enough: asyncio.Event, answered: list[int]) -> None:
    """One request after the other on one connection, until it is enough or the gateway closes it after an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while not enough.is_set():
            writer.write(REGRESS)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200")
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            answered.append(1)
            if b"connection: close" in head:
                assert await reader.read() == b""
                return
    finally:
        writer.close()


def ask(running: Running, times: int) -> None:
    """So many requests, each on a connection of its own, so that any worker may have it."""
    for _ in range(times):
        connection = HTTPConnection("127.0.0.1", port_of(running), timeout=20)
        connection.request("POST", "/api/models/houses/regress", BODY, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()


def port_of(running: Running) -> int:
    """Of REST."""
    return int(running.http.rpartition(":")[2])


def test_the_page_counts_the_requests_of_all(two: Running) -> None:
    before = counted(two), counted(two, "list_models")
    predicted = f'tensorgate_gateway_predictions_total{{bin="<=25",{HOUSES_VALUES}}}'
    ask(two, 100)
    for number in range(20):
        with grpc.insecure_channel(two.grpc, options=(("channel", number),)) as channel:  # or they would share one
            stub: Any = inference_pb2_grpc.InferenceStub(channel)  # type: ignore[no-untyped-call]  # generated code
            assert stub.ListModels(pb.ListModelsRequest()).models
    assert (counted(two), counted(two, "list_models")) == (before[0] + 100, before[1] + 20)
    page = httpx.get(f"{two.operations}/metrics").text
    until(lambda: value(two, predicted) == counted(two), seconds=10)
    expected = f'tensorgate_gateway_predictions_expected_ratio{{bin="<=25",{HOUSES_VALUES}}}'
    assert value(two, expected) == EXPECTED["houses"]["values"].shares["<=25"]
    assert "pid=" not in page  # a gauge without a way to be merged would show one line a worker
    assert re.search(r"^tensorgate_gateway_model_server_up{server=.*} 1.0$", page, re.MULTILINE)
    buckets = [row for row in page.splitlines() if row.startswith("tensorgate_gateway_request_seconds_bucket")]
    assert any(row.endswith(f" {counted(two)}") for row in buckets if 'le="+Inf"' in row and '"regress"' in row)


def test_both_answer(two: Running) -> None:
    def seconds(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    async def load() -> None:
        enough, answered = asyncio.Event(), list[int]()
        asking = asyncio.gather(*(ask_until(port_of(two), enough, answered) for _ in range(16)))
        while len(answered) < 2000:
            await asyncio.sleep(0.01)
        enough.set()
        await asking

    before = {pid: seconds(pid) for pid in workers_of(two)}
    asyncio.run(load())
    assert len(before) == 2 and all(seconds(pid) > since for pid, since in before.items())


def test_none_listens_before_it_knows_the_models(store: Path) -> None:
    server = started([sys.executable, str(MODEL_SERVER), "0"])
    command = [sys.executable, "-m", "services.gateway", "--workers", "2"]
    with server as (_, backend):
        settings = {"store": store, "model_server": backend["address"], "http_port": 0, "grpc_port": 0}
        with started(command, **settings) as (process, ports):
            http = f"http://127.0.0.1:{ports['http_port']}"
            ask(Running(process, http, "", http), 20)  # at once


def test_probes_and_metrics_are_on_their_port_alone(two: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx.get(f"{two.operations}{path}").status_code == 200
        assert httpx.get(f"{two.http}{path}").status_code == 404
        assert path not in httpx.get(f"{two.http}/openapi.json").json()["paths"]
    for path in ("/api/models", "/v1/models/houses", "/docs"):
        assert httpx.get(f"{two.operations}{path}").status_code == 404
    assert httpx.get(f"{two.http}/v2/health/ready").status_code == 200  # of Open Inference's protocol


def test_those_that_are_killed_are_replaced_and_what_they_counted_stays(two: Running) -> None:
    first = workers_of(two)
    ask(two, 50)
    seen, files = counted(two), files_of(two)
    for killed, victim in enumerate(first, 1):
        os.kill(victim, signal.SIGKILL)
        until(partial(gone, victim), seconds=10)
        ask(two, 20)  # the other answers; after both are killed, one that took their place
        assert counted(two) == seen + 20 * killed
    until(lambda: len(workers_of(two) - first) == 2, seconds=20)
    ask(two, 20)
    assert counted(two) == seen + 60
    assert "\ntensorgate_gateway_starts_total 4.0\n" in httpx.get(f"{two.operations}/metrics").text
    assert files_of(two) <= files  # another for each that dies would be without end


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
def test_promtool_finds_nothing_to_say_of_their_page(two: Running) -> None:
    page = httpx.get(f"{two.operations}/metrics").text
    assert 'tensorgate_gateway_callable_versions{model="digits"} 1.0' in page
    run = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_what_waits_for_one_that_does_not_accept_is_taken_by_the_other(two: Running) -> None:
    until(lambda: len(workers_of(two)) == 2, seconds=20)
    ask(two, 20)
    stopped = max(workers_of(two))
    os.kill(stopped, signal.SIGSTOP)
    try:
        ask(two, 20)  # about half of these are dealt to the one that is stopped
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_under_load_a_kill_takes_only_the_connections_of_the_killed(two: Running) -> None:
    async def load() -> list[Any]:
        enough, answered = asyncio.Event(), list[int]()
        asking = [asyncio.create_task(ask_until(port_of(two), enough, answered)) for _ in range(16)]
        while len(answered) < 500:
            await asyncio.sleep(0.01)
        os.kill(max(workers_of(two)), signal.SIGKILL)
        after = len(answered) + 1000
        while len(answered) < after and not all(task.done() for task in asking):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(ask, two, 20)  # whoever comes now is answered by the other
        enough.set()
        return await asyncio.gather(*asking, return_exceptions=True)

    until(lambda: len(workers_of(two)) == 2, seconds=20)
    ended = asyncio.run(load())
    assert None in ended  # those of the other never noticed
    assert all(isinstance(one, OSError | EOFError) for one in ended if one is not None)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_under_load_loses_no_request(store: Path, workers: int) -> None:
    async def load(running: Running) -> int:
        answered: list[int] = []
        asking = [asyncio.create_task(ask_until(port_of(running), asyncio.Event(), answered)) for _ in range(64)]
        while len(answered) < 3000:
            await asyncio.sleep(0.001)
        running.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*asking)  # raises if a connection closes otherwise than after an answer
        return len(answered)

    with gateway(store, workers=workers) as running:
        assert asyncio.run(load(running)) >= 3000
        assert running.process.wait(20) == 0
        assert running.process.stdout is not None and running.process.stdout.read() == ""  # one line, at the start


def test_workers_end_with_the_process_that_started_them(store: Path) -> None:
    with gateway(store, workers=2) as running:
        workers, counts = workers_of(running), counts_of(running)
        running.process.kill()
        until(lambda: all(map(gone, workers)), seconds=20)
        until(lambda: not counts.exists(), seconds=5)


def test_no_stranger_shares_the_ports(two: Running) -> None:
    for name in ("http", "grpc", "operations"):
        port = getattr(two, name).rpartition(":")[2]
        for workers in (1, 2):
            settings = {"http_port": 0, "grpc_port": 0, f"{name}_port": port}
            run = subprocess.run(
                [sys.executable, "-m", "services.gateway", "--workers", str(workers)],
                env=environment(**settings),
                capture_output=True,
                text=True,
                timeout=20,
            )
            assert run.returncode == 1
            assert f"127.0.0.1:{port}" in run.stderr and "Traceback" not in run.stderr


def test_workers_that_cannot_start_end_the_start(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "services.gateway"],
        env=environment(workers=2, store="s3://", http_port=0, grpc_port=0),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 1 and run.stdout == ""
    assert "A worker of the gateway listens before it ends. Received: exit code 1" in run.stderr
    assert "Traceback" not in run.stderr
    (tmp_path / "keys").write_text("{")
    command = [sys.executable, "-m", "services.gateway", "--workers", "2"]
    run = subprocess.run(command, env=environment(keys=tmp_path / "keys"), capture_output=True, text=True, timeout=30)
    assert run.returncode == 1 and run.stderr.count("line 1") == 1


def test_one_process_has_none_below_it(store: Path) -> None:
    with gateway(store, operations_port=0) as running:
        assert workers_of(running) == set()
        assert httpx.get(f"{running.http}/metrics").status_code == 404
        assert counted(running) == 0
        ask(running, 1)
        assert counted(running) == 1
        assert "process_resident_memory_bytes" in httpx.get(f"{running.operations}/metrics").text
