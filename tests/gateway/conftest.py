"""A gateway over the tiny model server, both in the test's own event loop, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.core.card import Card
from services.gateway.server import Gateway, Ports
from services.gateway.settings import GatewaySettings
from services.stubs.tensorgate.v1 import inference_pb2_grpc
from tests.gateway.backend import TinyServer, serving
from tests.gateway.models import ALL, card_of


@dataclass
class Shelf:
    """A store that is a dictionary: labels and cards, put there by the test."""

    labelled: dict[str, dict[str, int]] = field(default_factory=dict)
    cards: dict[tuple[str, int], Card] = field(default_factory=dict)

    def models(self) -> list[str]:
        """Names of all models."""
        return sorted(self.labelled)

    def labels(self, model: str) -> dict[str, int]:
        """Labels of a model."""
        return dict(self.labelled[model])

    def card(self, model: str, version: int) -> Card:
        """The card of a version."""
        return self.cards[model, version]


@dataclass(frozen=True)
class World:
    """Everything a test talks to."""

    shelf: Shelf
    server: TinyServer
    gateway: Gateway
    rest: httpx.AsyncClient
    channel: grpc.aio.Channel

    @property
    def inference(self) -> Any:
        """The typed gRPC door."""
        return inference_pb2_grpc.InferenceStub(self.channel)  # type: ignore[no-untyped-call]  # generated code

    def publish(self, name: str, version: int) -> None:
        """Load a version of a tiny model, and label it stable."""
        self.server.loaded.setdefault(name, {})[version] = ALL[name]
        self.shelf.cards[name, version] = card_of(name, ALL[name])
        self.shelf.labelled.setdefault(name, {})["stable"] = version


@asynccontextmanager
async def world(**settings: object) -> AsyncIterator[World]:
    """All tiny models as version 1, labelled stable, behind a gateway; settings override the defaults."""
    shelf, server = Shelf(), TinyServer()
    async with serving(server) as address:
        chosen = GatewaySettings(
            model_server=address,
            http_port=0,
            grpc_port=0,
            **{"poll_seconds": 0.02, **settings},  # type: ignore[arg-type]  # one dictionary for fields of several types
        )
        gateway = Gateway(chosen, shelf, CollectorRegistry())
        stop = asyncio.Event()
        ports: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(gateway.run(stop, ports.set_result))
        bound = await ports
        base = f"http://127.0.0.1:{bound.http_port}"
        async with (
            httpx.AsyncClient(base_url=base, timeout=20) as rest,
            grpc.aio.insecure_channel(f"127.0.0.1:{bound.grpc_port}") as channel,
        ):
            here = World(shelf, server, gateway, rest, channel)
            for name in ALL:
                here.publish(name, 1)
            await eventually(rest, lambda names: names >= set(ALL))
            yield here
        stop.set()
        await running


async def eventually(rest: httpx.AsyncClient, condition: object, seconds: float = 5) -> None:
    """Wait until the callable models fulfil a condition."""
    async with asyncio.timeout(seconds):
        while True:
            models = (await rest.get("/api/models")).json()["models"]
            if condition({model["name"] for model in models if model["versions"]}):  # type: ignore[operator]
                return
            await asyncio.sleep(0.01)


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """The default world."""
    async with world() as made:
        yield made
