"""When the road of a request looks at the routing table again."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from services.core.card import Task
from services.core.errors import NotFound
from services.core.refs import ModelRef
from services.gateway.admission import Admission, Limits
from services.gateway.batcher import Batcher, BatchLimits
from services.gateway.instances import Instances
from services.gateway.metrics import Metrics
from services.gateway.plane import DataPlane
from services.gateway.request import Call, Columns, Request
from services.gateway.routing_table import Servable
from tests.gateway.models import HOUSES, card_of

pytestmark = pytest.mark.anyio

CARD = card_of("houses", HOUSES)


class TwoVersions:
    """Routes to version 1 until it is refreshed, then to version 2."""

    def __init__(self) -> None:
        self.version = 1

    def route(self, ref: ModelRef) -> Servable:
        return Servable("houses", self.version, CARD, {}, ())

    async def refresh(self, doubtful: str) -> None:
        self.version += 1


async def only_version_2(call: Call) -> Columns:
    if call.servable.version != 2:
        raise NotFound("unloaded")
    return {"values": call.columns["rooms"]}


def plane_over(routes: TwoVersions) -> DataPlane:
    metrics = Metrics(CollectorRegistry())
    batcher = Batcher(only_version_2, BatchLimits(), metrics)
    return DataPlane(Admission(Limits(), time.monotonic), routes, batcher, metrics=metrics)


def request(ref: ModelRef, signature: str = "") -> Request:
    payload = Instances(Task.REGRESS, [{"rooms": 1.0}], signature)
    return Request(ref, payload, asyncio.get_running_loop().time() + 10)


async def test_a_version_that_was_unloaded_meanwhile_is_looked_up_again() -> None:
    answer = await plane_over(TwoVersions()).predict(request(ModelRef("houses")))
    assert answer.servable.version == 2


async def test_a_version_that_was_named_is_not_replaced_by_another() -> None:
    with pytest.raises(NotFound, match="unloaded"):
        await plane_over(TwoVersions()).predict(request(ModelRef("houses", version=1)))


async def test_a_signature_that_is_not_there_is_no_reason_to_read_the_table_again() -> None:
    routes = TwoVersions()
    with pytest.raises(NotFound, match="has signatures"):
        await plane_over(routes).predict(request(ModelRef("houses"), "price"))
    assert routes.version == 1
