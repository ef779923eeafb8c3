"""What watching a model server of thousands of models costs, and that nothing is seen later for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.core.errors import Unavailable
from services.core.turns import AT_REST_AT_ONCE
from services.gateway.backend import Backend
from services.gateway.server_watch import ServerWatch
from tests.gateway.backend import Listener, Model, TinyServer
from tests.gateway.world import eventually

pytestmark = pytest.mark.anyio

WANTED = {f"m{number:04}": frozenset({1}) for number in range(3000)}
EMPTY: Model = {}


@dataclass
class Counting(TinyServer):
    """Remembers which models' states it was asked."""

    looked_at: list[str] = field(default_factory=list)

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        self.looked_at.append(request.model_spec.name)
        return await super().GetModelStatus(request, context)


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[Counting, Listener, ServerWatch]]:
    """A server that has all, after the first look at it."""
    server = Counting(loaded={model: {1: EMPTY} for model in WANTED})
    listener = Listener(server)
    await listener.start()
    backend = Backend(listener.address)
    watch = ServerWatch(backend)
    await watch.look(WANTED, ())
    assert sorted(server.looked_at) == list(WANTED) == sorted(watch.there)
    server.looked_at.clear()
    try:
        yield server, listener, watch
    finally:
        await backend.close()
        await listener.stop()


async def test_a_look_costs_what_is_in_motion_what_is_doubtful_and_a_few_more() -> None:
    async with watched() as (server, _, watch):
        await watch.look(WANTED, ())
        assert sorted(server.looked_at) == list(WANTED)[:AT_REST_AT_ONCE]
        server.loaded["m0900"] = {2: EMPTY}
        server.looked_at.clear()
        await watch.look(WANTED, {"m0900", "nobody"})
        assert sorted(server.looked_at) == [*list(WANTED)[AT_REST_AT_ONCE : 2 * AT_REST_AT_ONCE], "m0900"]
        assert watch.there["m0900"] == {2: "AVAILABLE"}
        await watch.look(moved := {**WANTED, "m0900": frozenset({2}), "m0901": frozenset({2})}, ())
        server.looked_at.clear()
        await watch.look(moved, ())
        assert len(server.looked_at) == AT_REST_AT_ONCE + 1, "m0901 is to come, m0900 is there"
        assert "m0901" in server.looked_at


async def test_a_server_that_was_started_anew_is_asked_about_all_at_once() -> None:
    async with watched() as (server, listener, watch):
        await listener.stop()
        server.loaded.clear()
        await listener.start()

        async def answers() -> bool:
            await watch.look(WANTED, ())
            return bool(watch.answers)

        await eventually(answers)
        assert not any(watch.there.values())
        assert set(server.looked_at) == set(WANTED)


class _Away(Backend):
    """Nobody is there; `times` counts who asked."""

    times = 0

    async def status(self, name: str, seconds: float) -> Any:
        self.times += 1
        raise Unavailable("nobody")


async def test_a_server_that_is_away_is_asked_only_whether_it_is_back() -> None:
    server = _Away("127.0.0.1:1")
    watch = ServerWatch(server)
    for times in (1, 2):
        await watch.look(WANTED, {"m0900"})
        assert (watch.answers, server.times) == (False, times)
    await server.close()
