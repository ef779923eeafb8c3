"""Processes that stop or are killed under load: no request that was taken is lost, none gets another one's answer."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.core.tensors import Array
from tests.gateway.backend import TinyServer, serving
from tests.gateway.models import AFFINE, publish_all
from tests.gateway.test_process import INSTANCES, MODEL_SERVER, started
from tests.gateway.world import eventually
from tests.ports import free_port

pytestmark = pytest.mark.anyio

CLIENTS = 8
GATEWAY = [sys.executable, "-m", "services.gateway"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny models, published and labelled."""
    root = tmp_path_factory.mktemp("store")
    publish_all(str(root))
    return root


@dataclass
class Load:
    """Clients that ask without pause, each time another number. What became of the numbers."""

    base: str
    answered: set[int] = field(default_factory=set)
    refused: list[httpx.Response] = field(default_factory=list)
    cut_off: int = 0

    async def ask(self, rest: httpx.AsyncClient, number: int) -> None:
        """One request; an answer must be its own."""
        try:
            answer = await rest.post("/api/models/affine/regress", json={"instance": {"x": number}})
        except httpx.TransportError:  # the gateway is not there, or closed a connection that was idle
            self.cut_off += 1
            await asyncio.sleep(0.02)
            return
        if answer.status_code == 200:
            assert answer.json()["predictions"] == [{"y": number / 2 + 2}]
            self.answered.add(number)
        else:
            self.refused.append(answer)

    async def has_answered(self, more: int) -> None:
        """Return after so many more answers."""
        wanted = len(self.answered) + more

        async def enough() -> bool:
            return len(self.answered) >= wanted

        await eventually(enough, seconds=60)


@asynccontextmanager
async def load_on(port: int) -> AsyncIterator[Load]:
    """Clients at work; at the end each has the answer to its last request."""
    load, numbers, stop = Load(f"http://127.0.0.1:{port}"), count(), asyncio.Event()

    async def work() -> None:
        async with httpx.AsyncClient(base_url=load.base, timeout=20) as rest:
            while not stop.is_set():
                await load.ask(rest, next(numbers))

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(work())
        yield load
        stop.set()


@contextmanager
def gateway(store: Path, servers: Sequence[int], port: int) -> Iterator[subprocess.Popen[str]]:
    """A gateway process on this port, over model servers on those."""
    addresses = ",".join(f"127.0.0.1:{one}" for one in servers)
    settings: dict[str, Any] = {"store": store, "model_server": addresses, "http_port": port, "grpc_port": 0}
    with started(GATEWAY, **settings) as (process, _):
        yield process


@contextmanager
def model_server(port: int) -> Iterator[subprocess.Popen[str]]:
    """A tiny model server process."""
    with started([sys.executable, str(MODEL_SERVER), "0.002", str(port)]) as (process, _):
        yield process


async def up(port: int, servers: int) -> None:
    """Return when the gateway says that so many model servers answer."""

    async def told() -> bool:
        async with httpx.AsyncClient() as rest:
            try:
                page = (await rest.get(f"http://127.0.0.1:{port}/readyz")).json()
            except httpx.TransportError:
                return False
        return bool(page["ready"] and page["model_servers"]["up"] == servers)

    await eventually(told)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_two_model_servers_restart_one_after_the_other_and_every_request_is_answered(
    store: Path, how: signal.Signals
) -> None:
    ports, port = [free_port(), free_port()], free_port()
    with ExitStack() as stack:
        servers = [stack.enter_context(model_server(one)) for one in ports]
        stack.enter_context(gateway(store, ports, port))
        await up(port, 2)
        async with load_on(port) as load:
            for one, process in zip(ports, servers, strict=True):
                await load.has_answered(200)
                process.send_signal(how)
                await asyncio.to_thread(process.wait)
                await load.has_answered(250)
                await asyncio.to_thread(stack.enter_context, model_server(one))
                await up(port, 2)
                await load.has_answered(250)
        assert [(answer.status_code, answer.text) for answer in load.refused] == []
        assert load.cut_off == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_while_the_only_model_server_restarts_requests_are_answered_or_told_to_come_again(
    store: Path, how: signal.Signals
) -> None:
    server_port, port = free_port(), free_port()
    with ExitStack() as stack:
        server = stack.enter_context(model_server(server_port))
        stack.enter_context(gateway(store, [server_port], port))
        await up(port, 1)
        async with load_on(port) as load:
            await load.has_answered(200)
            server.send_signal(how)
            await asyncio.to_thread(server.wait)
            await asyncio.to_thread(stack.enter_context, model_server(server_port))
            await up(port, 1)
            await load.has_answered(400)
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in load.refused} <= {(503, "1")}
        assert load.cut_off == 0


async def test_a_call_at_a_model_server_that_hangs_is_answered_by_the_other(store: Path) -> None:
    """The connection stays, and nothing comes back: only pings that are not answered tell. Takes up to 20 seconds."""
    ports, port = [free_port(), free_port()], free_port()
    with ExitStack() as stack:
        servers = [stack.enter_context(model_server(one)) for one in ports]
        stack.enter_context(gateway(store, ports, port))
        await up(port, 2)
        servers[0].send_signal(signal.SIGSTOP)
        base, patient = f"http://127.0.0.1:{port}/api/models", {"X-Request-Timeout-Seconds": "60"}
        async with httpx.AsyncClient(base_url=base, headers=patient, timeout=60) as rest:
            asked = [rest.post(f"/{model}/regress", json={"instance": INSTANCES[model]}) for model in INSTANCES]
            assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200, 200]
        await up(port, 1)


@dataclass
class Remembering(TinyServer):
    """Knows which numbers came to it."""

    numbers: set[int] = field(default_factory=set)

    def with_affine(self) -> Remembering:
        """Load `affine`, in a form that remembers."""
        (signature,) = AFFINE.values()

        def function(columns: Mapping[str, Array]) -> Mapping[str, Array]:
            self.numbers |= {int(number) for number in columns["x"]}
            return signature.function(columns)

        self.loaded = {"affine": {1: {"serving_default": replace(signature, function=function)}}}
        return self


async def test_a_gateway_that_is_told_to_stop_answers_all_that_it_took_and_a_new_one_goes_on(store: Path) -> None:
    server, port = Remembering(pause=lambda: asyncio.sleep(0.002)).with_affine(), free_port()
    async with serving(server) as listener:
        with ExitStack() as stack:
            server_port = int(listener.address.rpartition(":")[2])
            process = await asyncio.to_thread(stack.enter_context, gateway(store, [server_port], port))
            await up(port, 1)
            async with load_on(port) as load:
                for _ in range(2):
                    await load.has_answered(250)
                    process.send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(process.wait) == 0
                    process = await asyncio.to_thread(stack.enter_context, gateway(store, [server_port], port))
                    await up(port, 1)
                await load.has_answered(250)
    assert server.numbers == load.answered
    assert load.cut_off > 0  # they did notice
    assert {answer.status_code for answer in load.refused} <= {503}  # by a gateway that had just started
