"""A gateway over the tiny model server, both in the test's own event loop, on loopback, with a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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


@dataclass(frozen=True)
class World:
    """Everything a test talks to."""

    folder: Path
    store: Store
    listener: Listener
    server: TinyServer
    rest: httpx.AsyncClient
    channel: grpc.aio.Channel
    grpc_address: str

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
        """Publish, load and label stable."""
        version = self.publish(name, model)
        self.server.loaded.setdefault(name, {})[version] = model
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
        """The model server has been asked so many times."""
        return len(self.server.calls) >= calls

    async def has_cancelled(self, calls: int) -> bool:
        """The model server has seen so many of its calls cancelled."""
        return self.server.cancelled >= calls


@asynccontextmanager
async def world(models: Mapping[str, Model] = ALL, *, key: str = "", **settings: Any) -> AsyncIterator[World]:
    """Tiny models as version 1, labelled stable, behind a gateway; settings override defaults, `rest` sends `key`."""
    server = TinyServer()
    with TemporaryDirectory() as folder:
        async with serving(server) as listener:
            chosen = {
                "model_server": listener.address,
                "http_port": 0,
                "grpc_port": 0,
                "poll_seconds": 0.02,
                **settings,
            }
            store = open_store(folder)
            async with _running(GatewaySettings(**chosen), store, key) as doors:
                here = World(Path(folder), store, listener, server, *doors)
                for name, model in models.items():
                    here.go_live(name, model)
                await eventually(lambda: _all_live(here, models))
                yield here


@asynccontextmanager
async def _running(
    settings: GatewaySettings, store: Store, key: str
) -> AsyncIterator[tuple[httpx.AsyncClient, grpc.aio.Channel, str]]:
    stop = asyncio.Event()
    ports: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    with open_listeners(settings) as listeners:
        gateway = Gateway(settings, store, CollectorRegistry())
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
