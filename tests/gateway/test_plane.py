"""When the road of a request looks at the routing table again."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from services.core.card import Task
from services.core.errors import DeadlineExceeded, NotFound
from services.core.refs import ModelRef
from services.gateway.admission import Admission, Limits
from services.gateway.batcher import Batcher, BatchLimits
from services.gateway.bodies import LARGE
from services.gateway.instances import Instances
from services.gateway.metrics import Metrics
from services.gateway.plane import DataPlane
from services.gateway.request import Call, Columns, Request, Tensors
from services.gateway.routing_table import Servable
from tests.gateway.models import HOUSES, card_of
from tests.gateway.world import World

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


class Unread:
    """A payload that is being read until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def tensors(self, servable: Servable) -> Tensors:
        self.begun.set()
        assert self.go.wait(10)
        return Tensors("regress", {"rooms": np.ones((1, 1), np.float32)})


async def test_while_a_large_request_is_read_others_are_answered() -> None:
    routes, payload = TwoVersions(), Unread()
    routes.version = 2
    plane, deadline = plane_over(routes), asyncio.get_running_loop().time() + 10
    large = asyncio.create_task(plane.predict(Request(ModelRef("houses"), payload, deadline, large=True)))
    await asyncio.to_thread(payload.begun.wait, 10)
    assert (await plane.predict(request(ModelRef("houses")))).columns
    assert not large.done()
    payload.go.set()
    assert (await large).columns["values"].shape == (1, 1)


async def test_a_large_request_ends_at_its_deadline_though_it_is_still_being_read() -> None:
    plane, payload = plane_over(TwoVersions()), Unread()
    deadline = asyncio.get_running_loop().time() + 0.05
    with pytest.raises(DeadlineExceeded):
        await plane.predict(Request(ModelRef("houses"), payload, deadline, large=True))
    payload.go.set()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/models/houses/regress", b'{"instances": [{"rooms": 2}, {"rooms": 3}]}'),
        ("/v1/models/affine:predict", b'{"instances": [1.0, 2.5]}'),
        ("/v2/models/affine/infer", b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.5]}]}'),
        ("/api/models/houses/regress", b'{"instances": [{"rooms": 2}, {"rooms": "many"}]}'),
        ("/v1/models/affine:predict", b'{"instances": ["one"]}'),
    ],
)
async def test_a_large_body_is_answered_as_a_small_one(here: World, path: str, body: bytes) -> None:
    headers = {"content-type": "application/json", "x-request-id": "same"}
    small, large = [
        await here.rest.post(path, content=body + b" " * padding, headers=headers) for padding in (0, LARGE)
    ]
    assert (large.status_code, large.content) == (small.status_code, small.content)
