"""Gateways over several tiny model servers, and what those do in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.gateway.backend import TinyServer
from tests.gateway.models import AFFINE, HOUSES
from tests.gateway.world import World, eventually, world

MODELS = {"houses": HOUSES, "affine": AFFINE}
HOUSE = {"instance": {"rooms": 1}}


@asynccontextmanager
async def two(**settings: Any) -> AsyncIterator[World]:
    """A gateway over two model servers that have everything."""
    async with world(MODELS, servers=2, **settings) as here:
        await eventually(lambda: are_up(here, 2))
        yield here


async def are_up(here: World, servers: int) -> bool:
    """So many model servers answer, and the gateway knows."""
    return bool((await here.rest.get("/readyz")).json()["model_servers"]["up"] == servers)


async def regress(here: World, model: str = "houses", **headers: str) -> httpx.Response:
    """One request."""
    return await here.rest.post(f"/api/models/{model}/regress", json=HOUSE, headers=headers)


@dataclass
class Held:
    """Calls of one model, held until they are let go; `most` of all calls were under way at once."""

    server: TinyServer
    model: str
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most: int = 0

    async def pause(self) -> None:
        """For TinyServer."""
        held = self.server.calls[-1][0] == self.model
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if held:
                await self.let_go.wait()
        finally:
            self.under_way -= 1


def failing(error: Exception, times: int) -> Callable[[], Awaitable[None]]:
    """Fail so many calls, then answer."""
    left = times

    async def pause() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error

    return pause


def asked(here: World) -> list[int]:
    """How many calls each server had."""
    return [len(server.calls) for server in here.servers]
