"""What versions predict, by bin, beside what was expected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from services.core.card import Card
from services.core.tensors import Array
from services.gateway.predictions import Predictions
from services.gateway.request import Call, Columns
from services.gateway.routing_table import ModelRoutes, RoutingTable, Servable
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.backend import Model, Signature
from tests.gateway.models import DIGITS, EXPECTED, HOUSES, card_of
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio

MADE = "tensorgate_gateway_predictions_total"
EXPECTED_RATIO = "tensorgate_gateway_predictions_expected_ratio"
CARD = card_of("houses", HOUSES)


async def price(here: World, rooms: float, houses: int = 1) -> None:
    """So many houses, each of which costs ten thousand dollars a room."""
    instances = [{"rooms": rooms}] * houses
    reply = await here.rest.post("/api/models/houses/regress", json={"instances": instances})
    assert [one["values"] for one in reply.json()["predictions"]] == [[10 * rooms]] * houses


async def of_houses(here: World, name: str = MADE, version: int = 1) -> list[float]:
    """A series of each bin, in order."""
    labels = f'model="houses",output="values",version="{version}"'
    return [await here.metric(f'{name}{{bin="{one}",{labels}}}') for one in EXPECTED["houses"]["values"].shares]


async def shows(here: World, counts: list[float], name: str = MADE, version: int = 1) -> bool:
    return await of_houses(here, name, version) == counts


async def test_predictions_that_shift_are_seen_beside_what_was_expected() -> None:
    async with world({"houses": HOUSES}) as here:
        assert await of_houses(here) == [0, 0, 0]
        assert await of_houses(here, EXPECTED_RATIO) == [0.5, 0.25, 0.25]
        await price(here, rooms=2)
        await price(here, rooms=5, houses=3)
        await eventually(lambda: shows(here, [1, 3, 0]))
        await price(here, rooms=9, houses=50)
        await eventually(lambda: shows(here, [1, 3, 50]))


async def test_whichever_door_is_asked_its_predictions_are_counted() -> None:
    async with world({"digits": DIGITS}) as here:
        black = {"instances": [{"image": [[0, 0], [0, 0]]}]}
        assert (await here.rest.post("/api/models/digits/classify", json=black)).status_code == 200
        assert (await here.rest.post("/v1/models/digits:predict", json=black)).status_code == 200
        tensor = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [0, 0, 0, 0]}
        assert (await here.rest.post("/v2/models/digits/infer", json={"inputs": [tensor]})).status_code == 200
        instance = pb.Instance(inputs={"image": pb.Value(numbers=pb.Numbers(values=[0] * 4, shape=[2, 2]))})
        await here.inference.Classify(pb.ClassifyRequest(model=pb.Model(name="digits"), instances=[instance]))
        line = f'{MADE}{{bin="one",model="digits",output="scores",version="1"}}'
        await eventually(lambda: is_at(here, line, 4))


async def is_at(here: World, line: str, value: float) -> bool:
    return await here.metric(line) == value


async def test_requests_that_leave_together_are_counted_one_by_one() -> None:
    async with world({"houses": HOUSES}) as here:
        await asyncio.gather(*(price(here, rooms) for rooms in (1, 2, 3, 4, 5, 6, 7, 8, 9)))
        await eventually(lambda: shows(here, [2, 5, 2]))


async def test_of_a_version_that_is_withdrawn_nothing_is_expected_any_more_and_what_it_made_stays() -> None:
    async with world({"houses": HOUSES}) as here:
        await price(here, rooms=9)
        here.go_live("houses", HOUSES)
        await eventually(lambda: shows(here, [0.5, 0.25, 0.25], EXPECTED_RATIO, 2))
        del here.server.loaded["houses"][1]
        await eventually(lambda: shows(here, [0, 0, 0], EXPECTED_RATIO))
        assert await of_houses(here) == [0, 0, 1]
        here.server.loaded["houses"][1] = HOUSES
        await eventually(lambda: shows(here, [0.5, 0.25, 0.25], EXPECTED_RATIO))


def answering(values: Array) -> Model:
    """Houses that all cost the same."""
    return {"regress": Signature(HOUSES["regress"].card, lambda columns: {"values": values})}


@pytest.mark.parametrize(
    "values",
    [
        np.array([[np.nan]], np.float32),
        np.array([[np.inf]], np.float32),
        np.array([[1, 2]], np.float32),
        np.array([1], np.float32),
        np.array(1, np.float32),
        np.array([[b"1"]], object),
        np.zeros((0, 1), np.float32),
    ],
    ids=str,
)
async def test_an_answer_that_is_no_prediction_is_not_counted_and_leaves_as_it_came(values: Array) -> None:
    async with world({"houses": answering(values)}) as here:
        body = {"signature_name": "regress", "inputs": {"rooms": [1.0], "river": [0]}}
        reply = await here.rest.post("/v1/models/houses:predict", json=body)
        assert reply.status_code == 200, reply.text
        here.server.loaded["houses"][1] = HOUSES
        await price(here, rooms=9)
        await eventually(lambda: shows(here, [0, 0, 1]))


def table_of(card: Card) -> RoutingTable:
    """One version."""
    routes = ModelRoutes(card.model, {}, {}, {1: Servable(card.model, 1, card, {}, ("",))}, {}, {})
    return RoutingTable({card.model: routes}, servers={"": True})


async def predicted(values: Mapping[str, Array], times: int, card: Card = CARD) -> CollectorRegistry:
    """What is counted when a version has answered so often, and nobody has polled."""
    registry = CollectorRegistry()
    predictions, table = Predictions(registry), table_of(card)
    predictions.table(table)

    async def answer(call: Call) -> Columns:
        return values

    ask = predictions.counted(answer)
    call: Any = Call(table.models[card.model].servables[1], "regress", {}, 1, 0)
    for _ in range(times):
        assert await ask(call) is values
    return registry


async def test_many_answers_and_large_ones_do_not_wait_for_a_poll() -> None:
    """What is kept is bounded."""
    labels = {"model": "houses", "version": "1", "output": "values", "bin": "<=25"}
    one = {"values": np.ones((1, 1), np.float32)}
    assert (await predicted(one, 100)).get_sample_value(MADE, labels) == 0
    assert ((await predicted(one, 300)).get_sample_value(MADE, labels) or 0) > 200
    many = {"values": np.ones((1 << 14, 1), np.float32)}
    assert (await predicted(many, 1)).get_sample_value(MADE, labels) == 1 << 14


async def test_nothing_is_counted_where_the_card_does_not_say_what_to_expect() -> None:
    silent = CARD.model_copy(update={"expected": {}})
    registry = await predicted({"values": np.ones((1, 1), np.float32)}, 100, silent)
    assert [sample for family in registry.collect() for sample in family.samples] == []
