"""The setting that bounds a batch."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.several import MODELS, Held, regress
from tests.gateway.world import eventually, world

pytestmark = pytest.mark.anyio


async def test_a_call_has_at_most_as_many_rows_as_was_set() -> None:
    async with world(MODELS, batch_rows=2) as here:
        (server,) = here.servers
        held = Held(server, "houses")
        server.pause = held.pause
        asking = [asyncio.create_task(regress(here)) for _ in range(6)]

        async def one_is_held() -> bool:
            return held.under_way == 1

        await eventually(one_is_held)
        held.let_go.set()
        assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
        rows = [call[-1] for call in server.calls]
    assert sum(rows) == 6
    assert max(rows) <= 2
