"""TensorFlow Serving's own stubs against the gateway. tests/conformance replays the recorded exchanges besides."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.core.tensors import from_proto, to_proto
from services.core.tfs import (
    classification_pb2,
    example_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)
from services.core.tfs_methods import PREDICTION
from services.core.tfs_stubs import model_service_pb2_grpc, prediction_service_pb2_grpc
from tests.gateway.world import World

pytestmark = pytest.mark.anyio


def asked(*numbers: float, **spec: Any) -> predict_pb2.PredictRequest:
    """Of `affine`, which halves and adds two."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "affine"
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    request.inputs["x"].CopyFrom(to_proto(np.array(numbers, np.float32)))
    return request


@pytest.fixture
def prediction(here: World) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(here.channel)


@pytest.mark.parametrize("spec", [{}, {"version": 1}, {"label": "stable"}])
async def test_predict_answers_with_the_version_that_is_routed_to(prediction: Any, spec: dict[str, Any]) -> None:
    reply = await prediction.Predict(asked(1, 3, **spec))
    assert from_proto(reply.outputs["y"]).tolist() == [2.5, 3.5]
    assert (reply.model_spec.name, reply.model_spec.version.value) == ("affine", 1)
    assert reply.model_spec.signature_name == "serving_default"
    assert list(reply.outputs["y"].float_val) == [2.5, 3.5]  # where TensorFlow Serving's clients look


async def test_requests_of_all_doors_share_calls(prediction: Any, here: World) -> None:
    here.server.pause = lambda: asyncio.sleep(0.05)
    replies: Any = await asyncio.gather(
        prediction.Predict(asked(1)),
        prediction.Predict(asked(3)),
        here.rest.post("/v1/models/affine:predict", json={"instances": [5]}),
        here.rest.post("/api/models/affine/regress", json={"instance": {"x": 7}}),
    )
    here.server.pause = lambda: asyncio.sleep(0)
    assert [from_proto(reply.outputs["y"]).tolist() for reply in replies[:2]] == [[2.5], [3.5]]
    assert replies[2].json() == {"predictions": [4.5]}
    assert replies[3].json()["predictions"] == [{"y": 5.5}]
    assert len(here.server.calls) < 4 and max(rows for *_, rows in here.server.calls) > 1


async def test_outputs_are_filtered_and_one_that_is_not_there_is_the_model_servers_to_refuse(
    prediction: Any, here: World
) -> None:
    request = asked(1)
    request.output_filter.append("y")
    assert (await prediction.Predict(request)).outputs.keys() == {"y"}
    request.output_filter.append("z")
    await prediction.Predict(request)
    assert [signature for *_, signature, _ in here.server.calls] == ["serving_default"] * 2 + [""]


@pytest.mark.parametrize(
    ("shape", "code", "told"),
    [
        ((20_000, 20_000), "RESOURCE_EXHAUSTED", "A tensor has at most"),
        ((2**40, 2**40), "INVALID_ARGUMENT", "tensor parsing error: x"),
        ((2**62,) * 50_000, "INVALID_ARGUMENT", "tensor parsing error: x"),  # whose product takes a minute
    ],
)
async def test_a_few_bytes_do_not_become_gigabytes(
    prediction: Any, shape: tuple[int, ...], code: str, told: str
) -> None:
    request = asked(1)
    del request.inputs["x"].tensor_shape.dim[:]
    for size in shape:
        request.inputs["x"].tensor_shape.dim.add(size=size)
    request.inputs["x"].tensor_content = b""
    request.inputs["x"].float_val.append(1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await prediction.Predict(request)
    assert caught.value.code().name == code
    assert told in (caught.value.details() or "")


@pytest.mark.parametrize("kind", ["example_list", "example_list_with_context"])
async def test_examples_are_instances_of_which_a_request_has_so_many(prediction: Any, here: World, kind: str) -> None:
    classify, regress = classification_pb2.ClassificationRequest(), regression_pb2.RegressionRequest()
    several = inference_pb2.MultiInferenceRequest()
    for request, spec in (
        (classify, classify.model_spec),
        (regress, regress.model_spec),
        (several, several.tasks.add().model_spec),
    ):
        spec.name = "affine"
        getattr(request.input, kind).examples.extend([example_pb2.Example()] * 1025)
    asked = (prediction.Classify(classify), prediction.Regress(regress), prediction.MultiInference(several))
    for refused in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(refused, grpc.aio.AioRpcError)
        assert refused.details() == "A request has at most 1024 instances. Received: 1025 for model affine"
    rest = await here.rest.post("/v1/models/affine:classify", json={"examples": [{"x": 1}] * 1025})
    assert rest.status_code == 400 and "at most 1024 instances. Received: 1025" in rest.json()["error"]


async def test_numbers_for_a_picture_are_no_fault_of_ours(prediction: Any) -> None:
    request = asked(1)
    request.model_spec.name, request.model_spec.signature_name = "painter", "edit"
    request.inputs["image_bytes"].CopyFrom(request.inputs["x"])
    del request.inputs["x"]
    request.inputs["steps"].CopyFrom(to_proto(np.array([1], np.int32)))
    await prediction.Predict(request)


@pytest.mark.parametrize(
    ("spec", "code", "text"),
    [
        ({"version": 7}, "NOT_FOUND", "Servable not found for request: Specific(affine, 7)"),
        ({"version": 0}, "NOT_FOUND", "Servable not found for request: Specific(affine, 0)"),
        ({"label": "nothing"}, "INVALID_ARGUMENT", "Unrecognized servable version label: nothing"),
        ({"label": ""}, "INVALID_ARGUMENT", "Unrecognized servable version label: "),
    ],
)
async def test_what_is_not_there_is_told_in_tensorflow_servings_words(
    prediction: Any, spec: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await prediction.Predict(asked(1, **spec))
    assert (caught.value.code().name, caught.value.details()) == (code, text)


async def test_a_deadline_is_kept_and_a_call_that_is_given_up_is_given_up_behind_us_too(
    prediction: Any, here: World
) -> None:
    here.server.pause = lambda: asyncio.sleep(5)
    cancelled = here.server.cancelled
    try:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await prediction.Predict(asked(1), timeout=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    finally:
        here.server.pause = lambda: asyncio.sleep(0)
    async with asyncio.timeout(10):
        while here.server.cancelled == cancelled:
            await asyncio.sleep(0.01)


async def test_no_client_changes_what_is_loaded(here: World) -> None:
    models: Any = model_service_pb2_grpc.ModelServiceStub(here.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "affine"
    reply = await models.GetModelStatus(status)
    assert [(one.version, one.state) for one in reply.model_version_status] == [(1, 30)]


async def test_the_service_has_a_health_of_its_own_and_is_counted(prediction: Any, here: World) -> None:
    health: Any = health_pb2_grpc.HealthStub(here.channel)
    assert (await health.Check(health_pb2.HealthCheckRequest(service=PREDICTION))).status == 1
    await prediction.Predict(asked(1))
    page = (await here.rest.get("/metrics")).text
    assert 'requests_total{code="OK",door="tfs_grpc",model="affine",operation="predict"}' in page
