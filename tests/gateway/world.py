"""A gateway over the tiny model server, both in the test's own event loop, on loopback, with a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import grpc.aio
import httpx
from prometheus_client import CollectorRegistry

from services.core.card import CARD_PATH
from services.core.sockets import address_of
from services.gateway.listeners import Ports, open_listeners
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings
from services.store import Store, open_store
from services.stubs.tensorgate.v1 import inference_pb2_grpc
from tests.gateway.backend import Listener, Model, TinyServer, serving
from tests.gateway.models import ALL, card_of

if TYPE_CHECKING:
    from services.gateway.spans import Tracing


@dataclass(frozen=True)
class World:
    """Everything a test talks to."""

    folder: Path
    store: Store
    listeners: Sequence[Listener]
    servers: Sequence[TinyServer]
    rest: httpx.AsyncClient
    channel: grpc.aio.Channel
    grpc_address: str

    @property
    def listener(self) -> Listener:
        """The first model server's."""
        return self.listeners[0]

    @property
    def server(self) -> TinyServer:
        """The first one."""
        return self.servers[0]

    @property
    def inference(self) -> Any:
        """The typed gRPC door."""
        return inference_pb2_grpc.InferenceStub(self.channel)  # type: ignore[no-untyped-call]  # generated code

    def publish(self, name: str, model: Model) -> int:
        """Put the next version of a model into the store; loading and labelling it is up to the test."""
        with TemporaryDirectory() as folder:
            card = Path(folder) / CARD_PATH
            card.parent.mkdir()
            card.write_text(card_of(name, model).model_dump_json())
            return self.store.publish(name, Path(folder))

    def go_live(self, name: str, model: Model) -> int:
        """Publish, load on all servers and label stable."""
        version = self.publish(name, model)
        for server in self.servers:
            server.loaded.setdefault(name, {})[version] = model
        self.store.move_label(name, "stable", version)
        return version

    async def callable_versions(self) -> dict[str, list[int]]:
        """What the gateway says can be called now."""
        models = (await self.rest.get("/api/models")).json()["models"]
        return {model["name"]: model["versions"] for model in models}

    async def is_ready(self) -> bool:
        """The readiness probe says yes."""
        return (await self.rest.get("/readyz")).status_code == 200

    async def has_called(self, calls: int) -> bool:
        """The model servers have been asked so many times."""
        return sum(len(server.calls) for server in self.servers) >= calls

    async def has_cancelled(self, calls: int) -> bool:
        """The model servers have seen so many of their calls cancelled."""
        return sum(server.cancelled for server in self.servers) >= calls

    @asynccontextmanager
    async def abandoned(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Within, somebody asks for what takes many calls, awaits what is yielded, until the second call is under way,
        and goes: that call is cancelled, and it was the last.
        """
        begun, cancelled = len(self.server.calls), self.server.cancelled

        async def pause() -> None:
            if len(self.server.calls) > begun + 1:
                await asyncio.Event().wait()

        self.server.pause = pause
        try:
            yield lambda: eventually(lambda: self.has_called(begun + 2))
            await eventually(lambda: self.has_cancelled(cancelled + 1))
            await asyncio.sleep(0.05)
            assert len(self.server.calls) == begun + 2
        finally:
            self.server.pause = lambda: asyncio.sleep(0)

    async def metric(self, line: str) -> float:
        """A value on the metrics page, by its name with labels; 0 if it is not there yet."""
        page = (await self.rest.get("/metrics")).text
        return next((float(one.rpartition(" ")[2]) for one in page.splitlines() if one.startswith(line + " ")), 0.0)


@asynccontextmanager
async def world(
    models: Mapping[str, Model] = ALL,
    *,
    key: str = "",
    servers: int = 1,
    tracing: Tracing | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """Tiny models as version 1, labelled stable, behind a gateway; settings override defaults, `rest` sends `key`."""
    tiny = [TinyServer() for _ in range(servers)]
    with TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            listeners = [await stack.enter_async_context(serving(one)) for one in tiny]
            chosen = {
                "model_server": ",".join(listener.address for listener in listeners),
                "http_port": 0,
                "grpc_port": 0,
                "poll_seconds": 0.02,
                **settings,
            }
            store = open_store(folder)
            doors = await stack.enter_async_context(_running(GatewaySettings(**chosen), store, key, tracing=tracing))
            here = World(Path(folder), store, listeners, tiny, *doors)
            for name, model in models.items():
                here.go_live(name, model)
            await eventually(lambda: _all_live(here, models))
            yield here


@asynccontextmanager
async def _running(
    settings: GatewaySettings, store: Store, key: str, *, tracing: Tracing | None
) -> AsyncIterator[tuple[httpx.AsyncClient, grpc.aio.Channel, str]]:
    stop = asyncio.Event()
    ports: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    with open_listeners(settings) as listeners:
        gateway = Gateway(settings, store, CollectorRegistry(), tracing=tracing)
        running = asyncio.create_task(gateway.run(listeners, stop, ports.set_result))
        bound = await ports
        host = settings.http_host
        http, rpc = f"http://{address_of(host, bound.http_port)}", address_of(host, bound.grpc_port)
        try:
            async with (
                httpx.AsyncClient(base_url=http, headers=bearer(key), timeout=20) as rest,
                grpc.aio.insecure_channel(rpc) as channel,
            ):
                yield rest, channel, rpc
        finally:
            stop.set()
            await running


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key; "": none."""
    return {"Authorization": f"Bearer {key}"} if key else {}


async def _all_live(here: World, models: Mapping[str, Model]) -> bool:
    versions = await here.callable_versions()
    return all(versions.get(name) for name in models)


async def eventually(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Return when an async condition holds; TimeoutError when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)
