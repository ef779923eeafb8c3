"""What the gRPC door does around a method."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from services.core.errors import Code
from services.core.sockets import listen
from services.core.tfs import model_pb2, predict_pb2
from services.core.tfs_methods import PATHS
from services.model_server.grpc_server import MOST_CALLS, build_server
from services.model_server.manager import Manager, RetryPolicy
from services.model_server.model_service import ModelService
from services.model_server.prediction_service import PredictionService
from services.model_server.runner import Call, Runner
from services.model_server.server_core import CoreOptions, ServerCore
from services.rpc.client import Channel
from services.rpc.messages import Status
from services.rpc.server_connection import MOST_STREAMS

pytestmark = pytest.mark.anyio

PREDICT = PATHS["Predict"]
REQUEST = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="half")).SerializeToString()


class Held:
    """Runs nothing until it is let go."""

    def __init__(self, calls: int) -> None:
        self.go = asyncio.Event()
        self.all_there = asyncio.Event()
        self.given_up = asyncio.Event()
        self._missing = calls

    async def run(self, call: Call, spec: Any, work: Callable[[Any], Any], *, kind: Any) -> bytes:
        self._missing -= 1
        if not self._missing:
            self.all_there.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        return b""


async def _serve(runner: Held) -> tuple[Any, str]:
    core = ServerCore(Manager(cast(Any, None), RetryPolicy(0, 0)), CoreOptions())
    server = build_server(PredictionService(core, cast(Runner, runner), True), ModelService(core), False)
    return server, f"127.0.0.1:{await server.start(listen('127.0.0.1', 0))}"


async def test_one_call_too_many_is_refused_and_those_under_way_are_answered() -> None:
    held = Held(MOST_CALLS)
    server, address = await _serve(held)
    channels = [Channel(address) for _ in range(MOST_CALLS // MOST_STREAMS)]
    calls = [channel.unary(PREDICT, REQUEST, 30) for channel in channels for _ in range(MOST_STREAMS)]
    answers = asyncio.gather(*calls)
    await held.all_there.wait()
    one_more = Channel(address)
    with pytest.raises(Status) as refused:
        await one_more.unary(PREDICT, REQUEST, 30)
    assert refused.value.code is Code.RESOURCE_EXHAUSTED
    assert str(MOST_CALLS) in refused.value.text
    held.go.set()
    assert await answers == [b""] * MOST_CALLS
    for channel in (*channels, one_more):
        await channel.close()
    await server.stop(1)


async def test_work_whose_deadline_has_passed_is_given_up() -> None:
    held = Held(1)
    server, address = await _serve(held)
    channel = Channel(address)
    with pytest.raises(Status) as late:
        await channel.unary(PREDICT, REQUEST, 0.05)
    assert late.value.code is Code.DEADLINE_EXCEEDED
    await held.given_up.wait()
    await channel.close()
    await server.stop(1)
