"""Nonsense at Open Inference's doors: a thousand requests that were right until something in them was changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import grpc
import pytest

from services.gateway.open_inference_infer import JSON_LENGTH
from services.stubs.inference import open_inference_pb2 as pb
from services.stubs.inference import open_inference_pb2_grpc
from tests.gateway.world import World

pytestmark = pytest.mark.anyio

RAW = b"\0\0\x80?" * 2
RIGHT: tuple[dict[str, Any], ...] = (
    {"id": "a", "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 3]}]},
    {
        "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": len(RAW)}}],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
        "parameters": {"signature": "serving_default", "binary_data_output": False},
    },
)
NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**31, 2**63, 2**64, 1e308, "", "x", "BYTES", "BOOL", "INT64", "é\0", [], {}, [[]], [None],
    [2**40] * 3, [2**62] * 240, [-1], ["a", 1], [[1], 2], {"a": 1}, [1] * 200,
)  # fmt: skip


CHANGES: tuple[Callable[[Any, Random], object], ...] = (
    lambda request, random: request.inputs[0].shape.append(random.choice([-1, 0, 1, 2**62])),
    lambda request, random: setattr(request.inputs[0], "datatype", random.choice(["", "BYTES", "INT8", "x" * 99])),
    lambda request, random: setattr(request.inputs[0], "name", random.choice(["", "y", "x\n"])),
    lambda request, random: request.inputs[0].contents.Clear(),
    lambda request, random: request.raw_input_contents.append(random.choice([b"", RAW, RAW * 9])),
    lambda request, random: request.outputs.add(name=random.choice(["", "y", "z"])),
    lambda request, random: setattr(request, "model_version", random.choice(["0", "-1", "x", "9" * 40])),
)


def changed(document: Any, random: Random) -> Any:
    """The same, but for one to three places."""
    document = copy.deepcopy(document)
    for _ in range(random.randint(1, 3)):
        places = list(_places(document))
        holder, key = random.choice(places)
        if random.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(random.choice(NASTY))
        if not document:
            return document
    return document


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], (dict, list)):
            yield from _places(holder[key])


async def test_over_rest_it_is_the_clients_fault_and_said_so(here: World) -> None:
    random, told = Random(7), set()
    for _ in range(700):
        text = json.dumps(changed(random.choice(RIGHT), random)).encode()
        length = random.choice([len(text)] * 8 + [len(text) - 1, len(text) + 1])
        body = text + RAW[: random.choice([8, 8, 8, 0, 7])]
        answer = await here.rest.post("/v2/models/affine/infer", content=body, headers={JSON_LENGTH: str(length)})
        assert answer.status_code in (200, 400), (body, answer.text)
        assert answer.status_code == 200 or list(answer.json()) == ["error"]
        assert len(answer.content) < 2000, body
        told.add(answer.status_code)
    assert told == {200, 400}


async def test_over_grpc_it_is_the_clients_fault_and_said_so(here: World) -> None:
    stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(here.channel)  # type: ignore[no-untyped-call]  # generated
    random = Random(7)
    right = pb.ModelInferRequest(model_name="affine", model_version="1")
    right.inputs.add(name="x", datatype="FP32", shape=[2]).contents.fp32_contents.extend([1, 3])
    for _ in range(300):
        request = pb.ModelInferRequest.FromString(right.SerializeToString())
        for change in random.sample(CHANGES, 2):
            change(request, random)
        try:
            await stub.ModelInfer(request)
        except grpc.aio.AioRpcError as error:
            assert error.code().name in ("INVALID_ARGUMENT", "NOT_FOUND"), (request, error.details())
            assert len(error.details() or "") < 2000
