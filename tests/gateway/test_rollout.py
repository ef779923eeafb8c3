"""A new version takes over without one failed request, and a model server that goes away comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest

from services.core.card import CARD_PATH
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import AFFINE, HOUSES
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def load(here: World) -> AsyncIterator[set[int]]:
    """Requests without pause through three doors; yields the versions that answered. Any failure is raised."""
    seen: set[int] = set()
    stop = asyncio.Event()

    async def typed() -> None:
        while not stop.is_set():
            answer = await here.rest.post("/api/models/houses/regress", json={"instance": {"rooms": 2}})
            assert answer.status_code == 200, answer.text
            seen.add(answer.json()["version"])

    async def tfs() -> None:
        body = {"signature_name": "regress", "instances": [{"rooms": 2, "river": 0}]}
        while not stop.is_set():
            answer = await here.rest.post("/v1/models/houses:predict", json=body)
            assert answer.json() == {"predictions": [[20.0]]}

    async def rpc() -> None:
        request = pb.RegressRequest(model=pb.Model(name="houses"), instances=[pb.Instance()])
        request.instances[0].inputs["rooms"].number = 2
        while not stop.is_set():
            seen.add((await here.inference.Regress(request)).version)

    async with asyncio.TaskGroup() as group:
        for work in (typed, typed, tfs, rpc):
            group.create_task(work())
        yield seen
        stop.set()


async def test_versions_follow_each_other_under_load_without_one_failed_request() -> None:
    async with world(poll_seconds=0.1) as here, load(here) as seen:
        for _ in range(5):
            old = here.store.labels("houses")["stable"]
            new = here.publish("houses", HOUSES)
            here.store.move_label("houses", "stable", new)
            await asyncio.sleep(0.15)  # the gateway sees the label before the version is there
            here.server.loaded["houses"][new] = HOUSES
            began = time.monotonic()
            await eventually(partial(contains, seen, new))
            assert time.monotonic() - began < 3
            del here.server.loaded["houses"][old]
        await asyncio.sleep(0.2)
    assert seen == {1, 2, 3, 4, 5, 6}


async def test_a_version_unloaded_before_the_next_poll_costs_no_request() -> None:
    async with world(poll_seconds=1) as here, load(here) as seen:
        new = here.publish("houses", HOUSES)
        here.server.loaded["houses"][new] = HOUSES
        here.store.move_label("houses", "stable", new)
        del here.server.loaded["houses"][1]
        await eventually(partial(contains, seen, new), seconds=1)


async def contains(seen: set[int], version: int) -> bool:
    """A version has answered."""
    return version in seen


async def test_stable_stays_with_the_version_before_while_the_next_one_loads(here: World) -> None:
    new = here.publish("affine", AFFINE)
    here.store.move_label("affine", "stable", new)
    await asyncio.sleep(0.1)
    for path in ("affine", "affine/labels/stable"):
        answer = await here.rest.post(f"/api/models/{path}/regress", json={"instance": {"x": 2}})
        assert answer.json()["version"] == 1
    waiting = await here.rest.post(f"/api/models/affine/versions/{new}/regress", json={"instance": {"x": 2}})
    assert waiting.status_code == 503
    assert waiting.headers["retry-after"] == "1"
    assert f"Version {new} of model affine is not ready" in waiting.json()["error"]["message"]


async def test_any_label_stays_with_the_version_before_while_the_next_one_loads(here: World) -> None:
    body = {"instance": {"rooms": 1}}
    here.store.move_label("houses", "canary", 1)

    async def canary() -> int:
        answer = await here.rest.post("/api/models/houses/labels/canary/regress", json=body)
        return int(answer.json().get("version", 0))

    async def canary_is_there() -> bool:
        return await canary() == 1

    await eventually(canary_is_there)
    new = here.publish("houses", HOUSES)
    here.store.move_label("houses", "canary", new)
    await asyncio.sleep(0.2)  # long enough for the gateway to have seen the label
    assert await canary() == 1


async def test_a_version_with_a_corrupt_card_is_named_and_the_one_before_goes_on(here: World) -> None:
    new = here.publish("digits", HOUSES)
    here.server.loaded["digits"][new] = HOUSES
    (here.folder / f"digits/{new}" / CARD_PATH).write_text("{")
    here.store.move_label("digits", "stable", new)
    await asyncio.sleep(0.2)
    assert (await here.callable_versions())["digits"] == [1]
    asked = await here.rest.post(f"/api/models/digits/versions/{new}/classify", json={"instance": {}})
    assert asked.status_code == 503
    assert "The card of digits/2" in asked.json()["error"]["message"]


async def test_labels_and_models_that_appear_later_can_be_called(here: World) -> None:
    here.store.move_label("houses", "canary", 1)
    body = {"instance": {"rooms": 1}}

    async def canary() -> bool:
        return (await here.rest.post("/api/models/houses/labels/canary/regress", json=body)).status_code == 200

    await eventually(canary)
    reply = await here.inference.Regress(
        pb.RegressRequest(
            model=pb.Model(name="houses", label="canary"),
            instances=[pb.Instance(inputs={"rooms": pb.Value(number=1)})],
        )
    )
    assert reply.version == 1
    here.go_live("cottages", HOUSES)

    async def cottages() -> bool:
        return (await here.rest.post("/api/models/cottages/regress", json=body)).status_code == 200

    await eventually(cottages)


async def test_without_a_model_server_requests_are_unavailable_and_the_gateway_is_not_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as here:
        await here.listener.stop()
        await eventually(lambda: unready(here))
        assert (await here.rest.get("/livez")).status_code == 200
        answer = await here.rest.post("/api/models/houses/regress", json={"instance": {"rooms": 1}})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
        assert "127.0.0.1" not in answer.text
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await here.inference.Regress(pb.RegressRequest(model=pb.Model(name="houses"), instances=[pb.Instance()]))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await here.listener.start()
        await eventually(here.is_ready)
        await eventually(lambda: answers(here))
    told = [record.getMessage() for record in caplog.records if record.name == "services.gateway.backend"]
    assert [line.partition(here.listener.address)[2].partition(":")[0] for line in told] == [
        " does not answer",
        " answers again",
    ]


async def unready(here: World) -> bool:
    """The readiness probe says no."""
    return not await here.is_ready()


async def answers(here: World) -> bool:
    """A model answers."""
    response = await here.rest.post("/api/models/houses/regress", json={"instance": {"rooms": 1}})
    return response.status_code == 200
