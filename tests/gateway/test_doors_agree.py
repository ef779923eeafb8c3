"""The same tensors through every door that takes tensors give the same bits, whatever their type and shape."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import orjson
import pytest

from services.core.card import InputField, OutputField, SignatureCard, Task
from services.core.open_inference import DATATYPES, Stated, datatype_of, fill_contents, to_bytes, to_values
from services.core.tensors import Array, from_proto, short_name, to_proto, type_of
from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.gateway.open_inference_infer import JSON_LENGTH
from services.stubs.inference import open_inference_pb2 as pb
from services.stubs.inference import open_inference_pb2_grpc
from tests.gateway.backend import Model, Signature
from tests.gateway.world import World, world

pytestmark = pytest.mark.anyio

# TensorFlow Serving's JSON has no 16-bit floats, and answers strings by rules of its own (tests/core/test_tfs_json.py)
NOT_IN_TFS_JSON = ("FP16", "BF16", "BYTES")
SHAPES = ((3,), (2, 3), (1, 1, 4), (0, 2))


def _echo(dtype: np.dtype[Any], rank: int) -> Signature:
    name, shape = short_name(type_of(dtype)), (None,) * (rank - 1)
    card = SignatureCard(
        task=Task.REGRESS,
        inputs=(InputField(name="x", dtype=name, shape=shape),),
        outputs=(OutputField(name="y", dtype=name, shape=shape),),
        example={},
    )
    return Signature(card, lambda columns: {"y": columns["x"]})


ECHO: Model = {f"{name}_{rank}": _echo(dtype, rank) for name, dtype in DATATYPES.items() for rank in (1, 2, 3)}


@pytest.fixture(scope="module")
async def echo() -> AsyncIterator[World]:
    """A model with a signature for each type and rank, which answers what it is asked."""
    async with world({"echo": ECHO}) as here:
        yield here


def drawn(name: str, shape: tuple[int, ...]) -> Array:
    """Values of a type from all over its range."""
    rng = np.random.default_rng(sum(map(ord, name)) + sum(shape))
    dtype, count = DATATYPES[name], int(np.prod(shape))
    if name == "BYTES":
        array = np.empty(count, object)
        array[:] = [rng.choice(["", "a", 'é\n"', "語"]).encode() * int(rng.integers(0, 3)) for _ in range(count)]
        return array.reshape(shape)
    raw = rng.integers(0, 256, count * dtype.itemsize, dtype=np.uint8)
    array = (raw % 2).view(np.bool_)[:count] if name == "BOOL" else raw.view(dtype)
    if array.dtype.kind not in "biu":  # JSON has no NaN or Infinity
        array = np.where(np.isfinite(array.astype(np.float64)), array, dtype.type(0.1))
    return array.reshape(shape)


async def by_tfs_grpc(here: World, signature: str, x: Array) -> Array:
    request = predict_pb2.PredictRequest(inputs={"x": to_proto(x)})
    request.model_spec.name, request.model_spec.signature_name = "echo", signature
    stub = prediction_service_pb2_grpc.PredictionServiceStub(here.channel)
    return from_proto((await stub.Predict(request)).outputs["y"])


async def by_tfs_rest(here: World, signature: str, x: Array) -> Array:
    body = {"signature_name": signature, "inputs": _tfs_json(x)}
    answer = await here.rest.post("/v1/models/echo:predict", content=orjson.dumps(body))
    return Stated("y", datatype_of(x.dtype), x.shape).of_values(answer.json()["outputs"])


async def by_json(here: World, signature: str, x: Array) -> Array:
    values = orjson.loads(orjson.dumps(to_values(x), option=orjson.OPT_SERIALIZE_NUMPY))
    body = _infer(signature, x, {"data": values})
    answer = (await here.rest.post("/v2/models/echo/infer", json=body)).json()["outputs"][0]
    return Stated("y", answer["datatype"], answer["shape"]).of_values(answer["data"])


async def by_bytes(here: World, signature: str, x: Array) -> Array:
    raw = to_bytes(x)
    text = orjson.dumps(_infer(signature, x, {"parameters": {"binary_data_size": len(raw)}}))
    reply = await here.rest.post("/v2/models/echo/infer", content=text + raw, headers={JSON_LENGTH: str(len(text))})
    length = int(reply.headers[JSON_LENGTH])
    answer = orjson.loads(reply.content[:length])["outputs"][0]
    return Stated("y", answer["datatype"], answer["shape"]).of_bytes(reply.content[length:])


async def by_grpc(here: World, signature: str, x: Array, *, raw: bool) -> Array:
    request = pb.ModelInferRequest(
        model_name="echo", parameters={"signature": pb.InferParameter(string_param=signature)}
    )
    tensor = request.inputs.add(name="x", datatype=datatype_of(x.dtype), shape=x.shape)
    if raw or not fill_contents(tensor.contents, x):
        tensor.ClearField("contents")
        request.raw_input_contents.append(to_bytes(x))
    stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(here.channel)  # type: ignore[no-untyped-call]  # generated
    reply = await stub.ModelInfer(request)
    (one,) = reply.outputs
    stated = Stated("y", one.datatype, one.shape)
    return (
        stated.of_bytes(reply.raw_output_contents[0]) if reply.raw_output_contents else stated.of_contents(one.contents)
    )


def _infer(signature: str, x: Array, values: Mapping[str, Any]) -> Mapping[str, Any]:
    tensor = {"name": "x", "shape": x.shape, "datatype": datatype_of(x.dtype), **values}
    return {
        "inputs": [tensor],
        "parameters": {"signature": signature, "binary_data_output": "parameters" in values},
    }


def _tfs_json(x: Array) -> Any:
    if x.dtype.kind == "O":
        strings = np.empty(x.shape, object)
        for index in np.ndindex(x.shape):
            strings[index] = {"b64": base64.b64encode(bytes(x[index])).decode()}
        return strings.tolist()
    return (x.astype(np.float64) if x.dtype.kind not in "biu" else x).tolist()


async def test_a_type_that_open_inference_does_not_have_is_told_by_tensorflows_name() -> None:
    async with world({"waves": {"serving_default": _echo(np.dtype(np.complex64), 1)}}) as here:
        told = (await here.rest.get("/v2/models/waves")).json()
        assert [one["datatype"] for one in told["inputs"]] == ["COMPLEX64"]
        body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}
        answer = await here.rest.post("/v2/models/waves/infer", json=body)
        assert answer.status_code == 400 and "takes x COMPLEX64 [-1]" in answer.json()["error"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", sorted(DATATYPES))
async def test_every_door_answers_with_the_same_bits(echo: World, name: str, shape: tuple[int, ...]) -> None:
    x, signature = drawn(name, shape), f"{name}_{len(shape)}"
    answers = {
        "tfs_grpc": await by_tfs_grpc(echo, signature, x),
        "json": await by_json(echo, signature, x),
        "bytes": await by_bytes(echo, signature, x),
        "contents": await by_grpc(echo, signature, x, raw=False),
        "raw": await by_grpc(echo, signature, x, raw=True),
    }
    if x.size and name not in NOT_IN_TFS_JSON:
        answers["tfs_rest"] = await by_tfs_rest(echo, signature, x)
    wrong = [door for door, y in answers.items() if (y.dtype, y.shape, to_bytes(y)) != (x.dtype, x.shape, to_bytes(x))]
    assert wrong == []
