"""Open Inference's doors for tensors: REST in JSON and in bytes, gRPC in contents and in bytes, and their pages."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from services.core.tensors import Array
from services.gateway.bodies import LARGE
from services.gateway.open_inference_infer import JSON_LENGTH
from services.stubs.inference import open_inference_pb2 as pb
from services.stubs.inference import open_inference_pb2_grpc
from tests.gateway.models import ALL, png, scores_of
from tests.gateway.world import World, eventually

pytestmark = pytest.mark.anyio

PATH = "/v2/models/affine/infer"
X: dict[str, Any] = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 3]}
ONE = pb.InferParameter(int64_param=1)
ANSWERED = {"name": "y", "datatype": "FP32", "shape": [2], "data": [2.5, 3.5]}


def packed(document: Any, *tails: bytes) -> dict[str, Any]:
    """A request whose JSON is followed by bytes."""
    text = json.dumps(document).encode()
    return {"content": text + b"".join(tails), "headers": {JSON_LENGTH: str(len(text))}}


def unpacked(answer: httpx.Response) -> tuple[Any, bytes]:
    length = int(answer.headers[JSON_LENGTH])
    return json.loads(answer.content[:length]), answer.content[length:]


@pytest.fixture
def rpc(here: World) -> Any:
    return open_inference_pb2_grpc.GRPCInferenceServiceStub(here.channel)  # type: ignore[no-untyped-call]  # generated code


def asked(numbers: Array, **fields: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="affine", **fields)
    request.inputs.add(name="x", datatype="FP32", shape=numbers.shape).contents.fp32_contents.extend(numbers)
    return request


@pytest.mark.parametrize("path", [PATH, "/v2/models/affine/versions/1/infer", "/v2/models/affine/labels/stable/infer"])
async def test_values_in_json_are_answered_in_json(here: World, path: str) -> None:
    answer = await here.rest.post(path, json={"inputs": [X]})
    assert answer.json() == {"model_name": "affine", "model_version": "1", "outputs": [ANSWERED]}
    answer = await here.rest.post(path, json={"id": "a7", "inputs": [X], "outputs": [{"name": "y"}]})
    assert (answer.json()["id"], answer.json()["outputs"]) == ("a7", [ANSWERED])


@pytest.mark.parametrize(
    "wanted",
    [{"parameters": {"binary_data_output": True}}, {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}],
)
async def test_values_in_bytes_are_answered_in_bytes_if_asked(here: World, wanted: dict[str, Any]) -> None:
    raw = np.array([1, 3], np.float32).tobytes()
    x = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
    document, tail = unpacked(await here.rest.post(PATH, **packed({"inputs": [x], **wanted}, raw)))
    assert np.frombuffer(tail, np.float32).tolist() == [2.5, 3.5]
    assert document["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
    ]
    plain = await here.rest.post(PATH, **packed({"inputs": [x]}, raw))
    assert plain.json()["outputs"] == [ANSWERED] and JSON_LENGTH not in plain.headers


async def test_a_picture_comes_in_bytes_and_a_signature_is_named(here: World, rpc: Any) -> None:
    picture = png(salt=3)
    raw = len(picture).to_bytes(4, "little") + picture
    x = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    body = {"inputs": [x], "parameters": {"signature": "classify"}}
    answer = await here.rest.post("/v2/models/digits/infer", **packed(body, raw))
    scores = answer.json()["outputs"][0]
    assert np.array(scores["data"], np.float32).tolist() == scores_of(picture).tolist()
    request = pb.ModelInferRequest(model_name="digits")
    request.parameters["signature"].string_param = "classify"
    request.inputs.add(name="image_bytes", datatype="BYTES", shape=[1]).contents.bytes_contents.append(picture)
    reply = await rpc.ModelInfer(request)
    assert list(reply.outputs[0].contents.fp32_contents) == scores_of(picture).tolist()


async def test_grpc_answers_as_it_was_asked_in_contents_or_in_bytes(here: World, rpc: Any) -> None:
    reply = await rpc.ModelInfer(asked(np.array([1, 3], np.float32), id="a7", model_version="1"))
    assert (reply.model_name, reply.model_version, reply.id) == ("affine", "1", "a7")
    assert list(reply.outputs[0].contents.fp32_contents) == [2.5, 3.5] and not reply.raw_output_contents
    request = pb.ModelInferRequest(model_name="affine")
    request.inputs.add(name="x", datatype="FP32", shape=[2])
    request.raw_input_contents.append(np.array([1, 3], np.float32).tobytes())
    reply = await rpc.ModelInfer(request)
    assert np.frombuffer(reply.raw_output_contents[0], np.float32).tolist() == [2.5, 3.5]
    assert not reply.outputs[0].HasField("contents")


async def test_requests_share_calls_with_the_other_doors(here: World, rpc: Any) -> None:
    here.server.pause = lambda: asyncio.sleep(0.05)
    await asyncio.gather(
        rpc.ModelInfer(asked(np.array([1], np.float32))),
        rpc.ModelInfer(asked(np.array([1, 2], np.float32))),
        here.rest.post(PATH, json={"inputs": [X]}),
        here.rest.post("/v1/models/affine:predict", json={"instances": [5]}),
    )
    here.server.pause = lambda: asyncio.sleep(0)
    assert len(here.server.calls) < 4 and sum(rows for *_, rows in here.server.calls) == 6


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"inputs": []}, "takes x FP32 [-1]. Received: []"),
    ({"inputs": [X, X]}, "named once"),
    ({"inputs": [{**X, "name": "z"}]}, "takes x FP32 [-1]. Received: ['z']"),
    ({"inputs": [{**X, "datatype": "FP64"}]}, "takes x FP32 [-1]. Received: x FP64 [2]"),
    ({"inputs": [{**X, "shape": [1, 2]}]}, "Received: x FP32 [1, 2]"),
    ({"inputs": [{**X, "shape": [3]}]}, "has 3 values. Received: 2"),
    ({"inputs": [{**X, "data": None}]}, "Received: neither"),
    ({"inputs": [{**X, "parameters": {"binary_data_size": 8}}]}, "Received: both"),
    ({"inputs": [X], "outputs": [{"name": "z"}]}, "answers y FP32 [-1]. Received: ['z']"),
    ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "not known here"),
    ({"inputs": [{**X, "parameters": {"shared_memory_region": "a"}}]}, "not known here"),
    ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "true or false. Received: 1"),
    ({"inputs": [X], "parameters": {"binary_data_output": "true"}}, "true or false. Received: 'true'"),
    ({"inputs": [{**X, "shape": [1] * 20_000}]}, "at most 64 dimensions. Received: 20000"),
    ({"inputs": [X], "outputs": [{"name": "y"}] * 2}, "named once"),
    ({"inputs": [X], "parameters": {"signature": "z"}}, "parameters.signature says which. Received: 'z'"),
    ({"inputs": [X], "parameters": {"signature": 3}}, "Received: 3"),
    ({"inputs": 3}, "inputs"),
    ({}, "inputs"),
]


@pytest.mark.parametrize(("body", "rule"), WRONG)
async def test_what_cannot_be_asked_is_an_error_of_open_inferences_form(
    here: World, body: dict[str, Any], rule: str
) -> None:
    answer = await here.rest.post(PATH, json=body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert rule in answer.json()["error"]


@pytest.mark.parametrize(
    ("size", "tail", "rule"),
    [
        (8, b"\0" * 7, "7, or less. Received: 8"),
        (8, b"\0" * 9, "Received: 1 that do not"),
        (7, b"\0" * 7, "has 8 bytes. Received: 7"),
        (-1, b"", "number of bytes. Received: -1"),
        ("8", b"\0" * 8, "number of bytes. Received: '8'"),
        (True, b"\0", "number of bytes. Received: True"),
    ],
)
async def test_bytes_belong_to_their_tensors(here: World, size: Any, tail: bytes, rule: str) -> None:
    x = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    answer = await here.rest.post(PATH, **packed({"inputs": [x]}, tail))
    assert answer.status_code == 400 and rule in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "999999", "1e2", "x", "9" * 30])
async def test_the_json_is_no_longer_than_the_body(here: World, length: str) -> None:
    answer = await here.rest.post(PATH, content=b"{}", headers={JSON_LENGTH: length})
    assert answer.status_code == 400 and JSON_LENGTH in answer.json()["error"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (asked(np.array([1], np.float32), model_version="9"), "NOT_FOUND"),
        (asked(np.array([1], np.float32), model_version="one"), "INVALID_ARGUMENT"),
        (pb.ModelInferRequest(model_name="nobody"), "NOT_FOUND"),
        (pb.ModelInferRequest(model_name="../x"), "INVALID_ARGUMENT"),
        (pb.ModelInferRequest(), "INVALID_ARGUMENT"),
        (asked(np.array([1], np.float32), raw_input_contents=[b"\0\0\0\0"]), "INVALID_ARGUMENT"),
        (asked(np.array([1], np.float32), outputs=[{"name": "z"}]), "INVALID_ARGUMENT"),
        (asked(np.array([1], np.float32), outputs=[{"name": "z" * 40_000}]), "INVALID_ARGUMENT"),
        (
            asked(np.ones(1, np.float32), parameters={"classification": pb.InferParameter(int64_param=1)}),
            "INVALID_ARGUMENT",
        ),
    ],
)
async def test_grpc_has_the_code_of_what_is_wrong(rpc: Any, request_: Any, code: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rpc.ModelInfer(request_)
    assert raised.value.code().name == code


async def test_the_pages_tell_who_answers_and_what_can_be_asked(here: World, rpc: Any) -> None:
    async def page(path: str) -> Any:
        return (await here.rest.get(f"/v2{path}")).json()

    server = await page("")
    assert server["name"] == "tensorgate" and "binary_tensor_data" in server["extensions"]
    assert await page("/health/live") == {"live": True}
    assert await page("/health/ready") == {"ready": True}
    assert "affine" in (await page("/models"))["models"]
    assert await page("/models/affine/versions/1/ready") == {"name": "affine", "ready": True}
    told = await page("/models/affine")
    assert told == {
        "name": "affine",
        "versions": ["1"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }
    assert (await rpc.ServerMetadata(pb.ServerMetadataRequest())).name == "tensorgate"
    assert (await rpc.ServerLive(pb.ServerLiveRequest())).live
    assert (await rpc.ServerReady(pb.ServerReadyRequest())).ready
    assert (await rpc.ModelReady(pb.ModelReadyRequest(name="affine"))).ready
    assert not (await rpc.ModelReady(pb.ModelReadyRequest(name="nobody"))).ready
    described = await rpc.ModelMetadata(pb.ModelMetadataRequest(name="affine", version="1"))
    assert [(one.name, one.datatype, list(one.shape)) for one in described.inputs] == [("x", "FP32", [-1])]


async def test_what_tensorflow_has_for_itself_is_no_signature_to_ask(here: World, rpc: Any) -> None:
    asked = {"inputs": [], "parameters": {"signature": "__saved_model_init_op"}}
    answer = await here.rest.post(PATH, json=asked)
    assert answer.status_code == 400
    assert "has the signatures serving_default; parameters.signature says which" in answer.json()["error"]
    told = (await here.rest.get("/v2/models/painter")).json()  # which has no default
    assert [one["name"] for one in told["outputs"]] == ["image_bytes"]


async def test_the_repository_lists_every_version(here: World, rpc: Any) -> None:
    here.store.move_label("affine", "canary", here.publish("affine", ALL["affine"]))  # loaded by nobody

    async def lists_it() -> bool:
        return any(one["state"] != "READY" for one in (await here.rest.post("/v2/repository/index")).json())

    await eventually(lists_it)
    listed = (await here.rest.post("/v2/repository/index")).json()
    assert {"name": "affine", "version": "2", "state": "UNAVAILABLE", "reason": "not loaded yet"} in listed
    assert {"name": "affine", "version": "1", "state": "READY", "reason": ""} in listed
    ready = (await here.rest.post("/v2/repository/index", json={"ready": True})).json()
    assert ready == [one for one in listed if one["state"] == "READY"] != listed
    reply = await rpc.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    assert [one.name for one in reply.models] == [one["name"] for one in ready]


NOWHERE = ("/models/nobody", "/models/nobody/ready", "/models/affine/versions/9", "/models/affine/config", "/nothing")


@pytest.mark.parametrize("path", NOWHERE)
async def test_what_is_not_there_is_an_error_of_open_inferences_form(here: World, path: str) -> None:
    answer = await here.rest.get(f"/v2{path}")
    assert answer.status_code == 404 and isinstance(answer.json()["error"], str)


async def test_what_has_another_method_is_an_error_of_open_inferences_form(here: World) -> None:
    answer = await here.rest.get("/v2/models/affine/infer")
    assert answer.status_code == 405 and isinstance(answer.json()["error"], str)


async def test_wrong_outputs_cost_the_model_nothing(here: World) -> None:
    await here.rest.post(PATH, json={"inputs": [X], "outputs": [{"name": "z"}]})
    assert here.server.calls == []


async def test_a_large_request_is_answered_as_a_small_one(here: World, rpc: Any) -> None:
    picture = png() + bytes(2 * LARGE)  # which a decoder passes over
    request = pb.ModelInferRequest(model_name="digits")
    request.parameters["signature"].string_param = "classify"
    request.inputs.add(name="image_bytes", datatype="BYTES", shape=[1]).contents.bytes_contents.append(picture)
    assert list((await rpc.ModelInfer(request)).outputs[0].contents.fp32_contents) == scores_of(picture).tolist()
    raw = len(picture).to_bytes(4, "little") + picture
    x = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    answer = await here.rest.post(
        "/v2/models/digits/infer", **packed({"inputs": [x], "parameters": {"signature": "classify"}}, raw)
    )
    assert np.array(answer.json()["outputs"][0]["data"], np.float32).tolist() == scores_of(picture).tolist()


async def test_no_number_is_null_in_json_and_itself_in_bytes(here: World) -> None:
    raw = np.array([np.nan, np.inf], np.float32).tobytes()
    x = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    answer = await here.rest.post(PATH, **packed({"inputs": [x]}, raw))
    assert answer.json()["outputs"][0]["data"] == [None, None]
    asked = {"inputs": [x], "parameters": {"binary_data_output": True}}
    _, tail = unpacked(await here.rest.post(PATH, **packed(asked, raw)))
    assert np.isnan(np.frombuffer(tail, np.float32)[0]) and np.isinf(np.frombuffer(tail, np.float32)[1])
