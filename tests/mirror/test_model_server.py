"""What asking a model server of a thousand models costs, and that nothing is seen later for it."""

from __future__ import annotations

import asyncio

import pytest

from services.core.errors import Unavailable
from services.core.turns import AT_REST_AT_ONCE
from services.mirror.model_server import ModelServer
from tests.mirror.scripted_server import ScriptedServer, listening

pytestmark = pytest.mark.anyio

WANTED = {f"m{number:04}": frozenset({1}) for number in range(1000)}
ALL_AVAILABLE = {(model, 1): "AVAILABLE" for model in WANTED}


async def test_a_look_costs_what_is_in_motion_and_a_few_more_and_each_model_has_its_turn() -> None:
    server = ScriptedServer(states={**ALL_AVAILABLE, ("m0500", 1): "LOADING"})
    async with listening(server):
        client = ModelServer(server.address)
        await client.states(WANTED)
        assert sorted(server.looked_at) == list(WANTED)
        turns = len(WANTED) // AT_REST_AT_ONCE + 1
        server.looked_at.clear()
        for _ in range(turns):
            await client.states(WANTED)
        assert len(server.looked_at) == turns * (1 + AT_REST_AT_ONCE)
        assert server.looked_at.count("m0500") == turns
        assert set(server.looked_at) == set(WANTED)
        server.states["m0500", 1] = "AVAILABLE"
        assert {state.name for state in (await client.states(WANTED)).values()} == {"AVAILABLE"}
        await client.close()


async def test_a_model_server_that_was_started_anew_is_asked_about_all_at_once() -> None:
    old, new = ScriptedServer(states=dict(ALL_AVAILABLE)), ScriptedServer()
    async with listening(old):
        client = ModelServer(old.address)
        await client.states(WANTED)
    with pytest.raises(Unavailable):
        await client.states(WANTED)
    async with listening(new, old.address):
        assert not await told(client)
        assert sorted(new.looked_at) == list(WANTED)
        await client.close()


async def told(client: ModelServer) -> object:
    """What it says as soon as it is connected again."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await client.states(WANTED)
            except Unavailable:
                await asyncio.sleep(0.01)
