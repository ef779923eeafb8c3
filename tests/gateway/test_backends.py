"""Several model servers, and what happens when one is slow, full, dying or dead. All over real gRPC."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest

from services.core.errors import ResourceExhausted, Unavailable
from services.core.tensors import to_proto
from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.gateway.breaker import MOST_FAILURES
from services.gateway.retries import MOST_TRIES
from tests.gateway.several import MODELS, Held, are_up, asked, failing, regress, two
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio


async def predict(here: World, width: int) -> Any:
    """One call of `affine` that shares its batch with none of another width."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "affine"
    request.inputs["x"].CopyFrom(to_proto(np.ones((1, width), np.float32)))
    return await prediction_service_pb2_grpc.PredictionServiceStub(here.channel).Predict(request, timeout=30)


async def test_calls_go_to_all_servers_by_turns() -> None:
    async with two() as here:
        for _ in range(10):
            assert (await regress(here)).status_code == 200
        assert asked(here) == [5, 5]


async def test_the_server_with_fewer_calls_is_asked() -> None:
    async with two() as here:
        held = Held(here.server, "affine")
        here.server.pause = held.pause
        slow = [asyncio.create_task(predict(here, 1)) for _ in range(2)]
        await eventually(lambda: here.has_called(2))
        before = asked(here)
        for _ in range(6):
            assert (await regress(here)).status_code == 200
        assert asked(here) == [before[0], before[1] + 6]
        held.let_go.set()
        await asyncio.gather(*slow)


async def test_a_busy_lane_has_a_call_at_each_server() -> None:
    async with two() as here:
        held = [Held(server, "houses") for server in here.servers]
        for server, one in zip(here.servers, held, strict=True):
            server.pause = one.pause
        answers = [asyncio.create_task(regress(here)) for _ in range(12)]
        await eventually(lambda: here.has_called(2))
        for one in held:
            one.let_go.set()
        assert {(await answer).status_code for answer in answers} == {200}
        assert sum(rows for server in here.servers for *_, rows in server.calls) == 12
        assert [one.most for one in held] == [1, 1]


async def test_a_server_that_stops_costs_no_request_and_comes_back() -> None:
    async with two(poll_seconds=0.2) as here:
        stop, answered = asyncio.Event(), [0] * 6

        async def ask(number: int) -> None:
            while not stop.is_set():
                answer = await regress(here)
                assert answer.status_code == 200, answer.text
                answered[number] += 1

        async def all_answered(times: list[int]) -> bool:
            return all(now > before + 1 for now, before in zip(answered, times, strict=True))

        asking = [asyncio.create_task(ask(number)) for number in range(len(answered))]
        for listener in here.listeners:
            await listener.stop()
            await eventually(lambda: are_up(here, 1))
            await listener.start()
            await eventually(lambda: are_up(here, 2))
            # Requests that were routed while there was one server have nowhere else to go.
            await eventually(partial(all_answered, list(answered)))
        stop.set()
        await asyncio.gather(*asking)
        assert sum(answered) > 50
        for server in here.servers:
            server.calls.clear()
        for _ in range(4):
            await regress(here)
        assert asked(here) == [2, 2]


async def test_a_call_that_one_server_refuses_is_answered_by_the_other() -> None:
    async with two() as here:
        here.server.pause = failing(Unavailable("no"), 10**6)
        assert {(await regress(here)).status_code for _ in range(20)} == {200}
        assert await here.metric('tensorgate_gateway_retries_total{code="UNAVAILABLE"}') >= MOST_FAILURES
        assert len(here.server.calls) < 10  # its breaker is open, so most calls went to the other at once


async def test_a_lone_server_is_asked_again_after_a_pause() -> None:
    async with world(MODELS) as here:
        here.server.pause = failing(Unavailable("no"), MOST_TRIES - 1)
        assert (await regress(here)).status_code == 200
        assert len(here.server.calls) == MOST_TRIES


async def test_when_all_servers_refuse_requests_are_refused_at_once_until_they_answer() -> None:
    async with two() as here:
        for server in here.servers:
            server.pause = failing(Unavailable("no"), 10**6)
        for _ in range(20):
            answer = await regress(here)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert sum(asked(here)) <= 2 * (MOST_FAILURES + MOST_TRIES)
        assert await here.metric('tensorgate_gateway_shed_total{reason="breaker"}') >= 10
        for server in here.servers:
            server.pause = lambda: asyncio.sleep(0)

        async def answers() -> bool:
            return (await regress(here)).status_code == 200

        await eventually(answers)


async def test_a_server_without_a_free_thread_is_asked_again_then_the_client_is_told_when_to_come_back() -> None:
    full = ResourceExhausted("Server Threadpool Exhausted")
    async with world(MODELS) as here:
        here.server.pause = failing(full, 1)
        assert (await regress(here)).status_code == 200
        here.server.pause = failing(full, 10**6)
        answer = await regress(here)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert "Threadpool" not in answer.text


async def test_what_a_model_has_too_little_of_is_no_reason_to_ask_again() -> None:
    async with two() as here:
        for server in here.servers:
            server.pause = failing(ResourceExhausted("OOM when allocating tensor"), 10**6)
        answer = await regress(here)
        assert answer.status_code == 429
        assert "retry-after" not in answer.headers
        assert sum(asked(here)) == 1


async def test_a_grpc_client_that_retries_by_itself_is_told_when() -> None:
    """Its own first pause would be a minute, so an answer comes only if it listens to ours."""
    policy = (
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "60s", "maxBackoff": '
        '"60s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}'
    )
    async with (
        world(MODELS) as here,
        grpc.aio.insecure_channel(here.grpc_address, options=[("grpc.service_config", policy)]) as channel,
    ):
        here.server.pause = failing(Unavailable("no"), MOST_TRIES)
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "affine"
        request.inputs["x"].CopyFrom(to_proto(np.ones(1, np.float32)))
        reply = await prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
        assert reply.outputs["y"].float_val[0] == 2.5


async def test_no_retry_is_begun_after_the_deadline() -> None:
    async with world(MODELS, timeout_seconds=0.2) as here:

        async def late() -> None:
            await asyncio.sleep(0.15)
            raise Unavailable("no")

        here.server.pause = late
        assert (await regress(here)).status_code in (503, 504)
        called = len(here.server.calls)
        assert called <= 2
        await regress(here, **{"X-Request-Timeout-Seconds": "0.1"})
        assert len(here.server.calls) == called + 1


async def test_a_server_has_at_most_so_many_calls_and_one_slow_model_does_not_delay_a_fast_one() -> None:
    async with world(MODELS, server_calls=4) as here:
        held = Held(here.server, "affine")
        here.server.pause = held.pause
        slow = [asyncio.create_task(predict(here, width)) for width in range(1, 31)]
        await eventually(lambda: here.has_called(2))
        for _ in range(20):
            async with asyncio.timeout(5):
                assert (await regress(here)).status_code == 200
        assert not any(task.done() for task in slow)
        held.let_go.set()
        for width, reply in enumerate(await asyncio.gather(*slow), 1):
            assert list(reply.outputs["y"].float_val) == [2.5] * width
        assert held.most <= 4


async def test_questions_about_models_that_are_nowhere_leave_retries_to_others() -> None:
    async with two() as here:
        for _ in range(50):
            assert (await here.rest.get("/v1/models/nowhere")).status_code == 404
        here.server.pause = failing(Unavailable("no"), 2)
        assert {(await regress(here)).status_code for _ in range(4)} == {200}


async def test_the_probe_and_the_metrics_tell_of_each_server() -> None:
    async with two() as here:
        up = "tensorgate_gateway_model_server_up"
        first, second = (listener.address for listener in here.listeners)
        await here.listeners[1].stop()
        await eventually(lambda: are_up(here, 1))
        assert (await here.rest.get("/readyz")).json() == {"ready": True, "model_servers": {"up": 1, "all": 2}}
        assert await here.metric(f'{up}{{server="{first}"}}') == 1
        assert await here.metric(f'{up}{{server="{second}"}}') == 0
        assert await here.metric(f'tensorgate_gateway_model_server_breaker{{server="{first}"}}') == 0
        page = (await here.rest.get("/metrics")).text
        assert f'tensorgate_gateway_model_server_calls_in_flight{{server="{first}"}} 0.0' in page
        await here.listeners[1].start()
