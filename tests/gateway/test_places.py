"""Which of several model servers may be asked for a version, and when a second one is."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest

from services.core.errors import Unavailable
from services.core.refs import ModelRef
from services.gateway.backend import Backend
from services.gateway.router import Router
from services.gateway.routing_table import RoutingTable
from tests.gateway.models import HOUSES
from tests.gateway.several import HOUSE, MODELS, Held, asked, regress, two
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio


async def test_a_second_server_is_asked_when_the_first_is_slow_and_the_slower_call_is_cancelled() -> None:
    async with two(hedge_seconds=0.05) as here:
        here.server.pause = Held(here.server, "houses").pause
        assert (await regress(here)).status_code == 200
        await eventually(lambda: here.has_cancelled(1))
        assert await here.metric("tensorgate_gateway_hedges_total") == 1
        assert asked(here) == [1, 1]


async def test_a_hedge_outlives_the_failure_of_the_other_call() -> None:
    async with two(hedge_seconds=0.05) as here:
        hedged = asyncio.Event()

        async def gone_when_hedged() -> None:
            await hedged.wait()
            raise Unavailable("no")

        async def slow() -> None:
            hedged.set()
            await asyncio.sleep(0.2)

        here.servers[0].pause, here.servers[1].pause = gone_when_hedged, slow
        assert (await regress(here)).status_code == 200
        assert asked(here) == [1, 1]
        assert await here.metric('tensorgate_gateway_retries_total{code="UNAVAILABLE"}') == 0


async def test_one_server_is_never_asked_twice_at_once() -> None:
    async with world(MODELS, hedge_seconds=0.01) as here:
        here.server.pause = lambda: asyncio.sleep(0.1)
        assert (await regress(here)).status_code == 200
        assert len(here.server.calls) == 1


async def test_a_version_is_asked_only_where_it_is() -> None:
    async with two() as here:
        new = here.publish("houses", HOUSES)
        here.server.loaded["houses"][new] = HOUSES
        await eventually(lambda: can_call(here, new))
        for _ in range(6):
            answer = await here.rest.post(f"/api/models/houses/versions/{new}/regress", json=HOUSE)
            assert answer.json()["version"] == new
        assert asked(here) == [6, 0]
        assert await here.metric('tensorgate_gateway_retries_total{code="NOT_FOUND"}') == 0


async def test_a_roll_out_goes_on_when_as_many_servers_have_the_new_version_as_the_old_one() -> None:
    async with two() as here:
        new = here.publish("houses", HOUSES)
        here.store.move_label("houses", "stable", new)
        here.server.loaded["houses"][new] = HOUSES
        await eventually(lambda: can_call(here, new))
        assert {(await regress(here)).json()["version"] for _ in range(6)} == {1}
        assert min(asked(here)) == 3
        del here.server.loaded["houses"][1]  # as the mirror does beside each server

        async def is_routed() -> bool:
            return bool((await regress(here)).json()["version"] == new)

        await eventually(is_routed)
        here.servers[1].loaded["houses"][new] = HOUSES
        here.servers[1].calls.clear()
        await eventually(lambda: both_are_asked(here))


async def test_a_version_that_one_server_has_unloaded_meanwhile_is_asked_of_the_other() -> None:
    async with two(poll_seconds=1) as here:
        del here.server.loaded["houses"][1]
        for _ in range(4):
            assert (await here.rest.post("/api/models/houses/versions/1/regress", json=HOUSE)).status_code == 200


async def test_an_address_where_something_else_answers_counts_as_no_model_server() -> None:
    async def heard(table: RoutingTable) -> None:
        """Nobody."""

    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    async with world(MODELS) as here:
        servers = [Backend(f"127.0.0.1:{port}"), Backend(here.listener.address)]
        router = Router(here.store, servers, heard)
        await router.refresh()
        assert list(router.table.servers.values()) == [False, True]
        assert router.table.find(ModelRef("houses")).servers == (here.listener.address,)
        for server in servers:
            await server.close()
    await other.stop(None)


async def both_are_asked(here: World) -> bool:
    """A request more, and both servers have had some."""
    await regress(here)
    return all(asked(here))


async def can_call(here: World, version: int) -> bool:
    """A version of `houses` can be called."""
    return version in (await here.callable_versions())["houses"]
