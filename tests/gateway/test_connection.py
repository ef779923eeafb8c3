"""Connections: one that is lost stops the work that was for it alone, one that is kept answers in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from services.core.tensors import to_proto
from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.http import connection
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import AFFINE
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio

Ask = Callable[[World], Awaitable[Any]]


async def typed(here: World) -> Any:
    """Our REST."""
    return await here.rest.post("/api/models/affine/regress", json={"instance": {"x": 2}})


async def tfs(here: World) -> Any:
    """TensorFlow Serving's REST."""
    return await here.rest.post("/v1/models/affine:predict", json={"instances": [2]})


async def open_inference(here: World) -> Any:
    """Open Inference's REST."""
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "data": [2]}
    return await here.rest.post("/v2/models/affine/infer", json={"inputs": [tensor]})


async def typed_grpc(here: World) -> Any:
    """Our gRPC."""
    request = pb.RegressRequest(model=pb.Model(name="affine"), instances=[pb.Instance()])
    request.instances[0].inputs["x"].number = 2
    return await here.inference.Regress(request)


async def tfs_grpc(here: World) -> Any:
    """TensorFlow Serving's gRPC."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "affine"
    request.inputs["x"].CopyFrom(to_proto(np.array([2], np.float32)))
    return await prediction_service_pb2_grpc.PredictionServiceStub(here.channel).Predict(request)


async def counted_cancelled(here: World) -> bool:
    """The gateway has seen a client go away."""
    return 'code="CANCELLED"' in (await here.rest.get("/metrics")).text


DOORS: list[Ask] = [typed, tfs, open_inference, typed_grpc, tfs_grpc]


@pytest.fixture
async def slow() -> AsyncIterator[World]:
    """A model server that answers nothing until `let_go`."""
    async with world({"affine": AFFINE}) as here:
        yield here


async def leave(task: asyncio.Task[Any]) -> None:
    """The client closes its connection, or cancels its call."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("ask", DOORS, ids=lambda ask: ask.__name__)
async def test_a_call_that_nobody_waits_for_is_cancelled_at_the_model_server(
    slow: World, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    slow.server.pause = asyncio.Event().wait  # type: ignore[assignment]
    asking = asyncio.ensure_future(ask(slow))
    await eventually(lambda: slow.has_called(1))
    await leave(asking)
    await eventually(lambda: slow.has_cancelled(1))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    await eventually(lambda: counted_cancelled(slow))


@pytest.mark.parametrize("ask", DOORS, ids=lambda ask: ask.__name__)
async def test_who_waits_in_the_queue_leaves_it_and_harms_nobody(slow: World, ask: Ask) -> None:
    let_go = asyncio.Event()
    slow.server.pause = let_go.wait  # type: ignore[assignment]
    first = asyncio.ensure_future(typed(slow))
    await eventually(lambda: slow.has_called(1))

    async def left() -> bool:
        """Again, if it went before its request was read."""
        leaver = asyncio.ensure_future(ask(slow))
        await asyncio.sleep(0.05)
        await leave(leaver)
        return await counted_cancelled(slow)

    await eventually(left)
    stayer = asyncio.ensure_future(typed(slow))
    let_go.set()
    assert (await first).status_code == (await stayer).status_code == 200
    assert [rows for *_, rows in slow.server.calls] == [1, 1]
    assert slow.server.cancelled == 0


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One answer of a connection that is kept: status and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(here: World) -> None:
    url = here.rest.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    asked = range(20)
    for number in asked:
        body = b'{"instances": [{"x": %d}]}' % number
        writer.write(b"POST /v1/models/affine:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
    answers = [await read_answer(reader) for _ in asked]
    assert [status for status, _ in answers] == [200] * len(asked)
    alone = [await here.rest.post("/v1/models/affine:predict", json={"instances": [{"x": n}]}) for n in asked]
    assert [body for _, body in answers] == [answer.content for answer in alone]
    writer.close()


async def test_a_connection_is_kept_and_an_answer_is_one_piece(here: World) -> None:
    url = here.rest.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    for _ in range(3):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        piece = await reader.read(1 << 16)
        assert piece.startswith(b"HTTP/1.1 200") and piece.endswith(b'{"live":true}')
    writer.close()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """The other side has closed."""
    return await asyncio.wait_for(reader.read(), 10) == b""


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
async def test_who_sends_no_whole_head_is_not_waited_for(
    here: World, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection(here.rest.base_url.host, here.rest.base_url.port)
    writer.write(sent)
    assert await is_closed(reader)
    writer.close()


async def test_who_sends_no_more_of_a_body_is_not_waited_for(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection(here.rest.base_url.host, here.rest.base_url.port)
    writer.write(b"POST /v1/models/affine:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    for _ in range(4):
        await asyncio.sleep(0.1)
        writer.write(b" ")  # slow is not gone
    assert not reader.at_eof()
    assert await is_closed(reader)
    writer.close()


async def test_a_head_has_an_end(here: World) -> None:
    reader, writer = await asyncio.open_connection(here.rest.base_url.host, here.rest.base_url.port)
    writer.write(b"GET /livez HTTP/1.1\r\nX: " + b"x" * (connection.MOST_HEAD_BYTES + 1))
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 400") and b"at most 65536 bytes" in answer
    writer.close()


async def test_a_body_may_be_longer_than_a_head(here: World) -> None:
    body = b'{"instances": [{"x": 1}]}' + b" " * (2 * connection.MOST_HEAD_BYTES)
    for _ in range(2):  # on one connection
        assert (await here.rest.post("/v1/models/affine:predict", content=body)).status_code == 200
