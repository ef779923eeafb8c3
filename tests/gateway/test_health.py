"""Probes, health, reflection, metrics and the OpenAPI page."""

from __future__ import annotations

import asyncio
import re

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import HOUSES, png
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", "tensorgate.v1.Inference", "digits"])
async def test_health_knows_the_server_the_service_and_each_model(here: World, service: str) -> None:
    health = health_pb2_grpc.HealthStub(here.channel)
    assert (await health.Check(health_pb2.HealthCheckRequest(service=service))).status == SERVING


async def test_health_of_an_unknown_service_is_not_found(here: World) -> None:
    health = health_pb2_grpc.HealthStub(here.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_model_that_is_unloaded_stops_serving_and_the_rest_goes_on(here: World) -> None:
    health = health_pb2_grpc.HealthStub(here.channel)
    model = here.server.loaded.pop("painter")

    async def is_down() -> bool:
        return bool((await health.Check(health_pb2.HealthCheckRequest(service="painter"))).status == NOT_SERVING)

    await eventually(is_down)
    assert (await health.Check(health_pb2.HealthCheckRequest(service=""))).status == SERVING
    assert (await here.rest.get("/readyz")).status_code == 200
    here.server.loaded["painter"] = model


async def test_with_nothing_published_the_gateway_is_ready_and_lists_no_models() -> None:
    async with world(models={}) as here:
        await eventually(here.is_ready)
        assert (await here.rest.get("/api/models")).json() == {"models": []}
        answer = await here.rest.post("/api/models/digits/classify", json={"instance": {}})
        assert "The models here are none" in answer.json()["error"]["message"]


async def test_reflection_describes_the_service(here: World) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(here.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    reply = await call.read()
    names = {service.name for service in reply.list_services_response.service}
    assert {"tensorgate.v1.Inference", "grpc.health.v1.Health"} <= names


async def test_a_request_id_comes_back_the_clients_own_if_it_is_plain(here: World) -> None:
    mine = await here.rest.get("/livez", headers={"X-Request-Id": "order-17"})
    assert mine.headers["x-request-id"] == "order-17"
    for strange in ("x" * 200, "a b", 'a"b'):
        given = await here.rest.get("/livez", headers={"X-Request-Id": strange})
        assert re.fullmatch("[0-9a-f]{16}", given.headers["x-request-id"])
    call = here.inference.ListModels(pb.ListModelsRequest(), metadata=(("x-request-id", "order-18"),))
    await call
    assert ("x-request-id", "order-18") in tuple(await call.trailing_metadata())


async def test_grpc_lists_models_as_rest_does(here: World) -> None:
    listed = {model.name: model for model in (await here.inference.ListModels(pb.ListModelsRequest())).models}
    for model in (await here.rest.get("/api/models")).json()["models"]:
        other = listed[model["name"]]
        assert (other.task, other.title, list(other.versions)) == (model["task"], model["title"], model["versions"])
        assert dict(other.labels) == model["labels"]
        assert other.stable == model["labels"]["stable"]


async def test_metrics_have_no_label_that_a_client_can_invent(here: World) -> None:
    for n in range(3):
        await here.rest.post(f"/api/models/invented{n}/classify", json={"instance": {}})
        with pytest.raises(grpc.aio.AioRpcError):
            await here.inference.Classify(pb.ClassifyRequest(model=pb.Model(name=f"invented{n}")))
        await here.rest.get(f"/nowhere/{n}")
    await here.rest.post("/api/models/digits/classify", content=png(), headers={"content-type": "image/png"})
    await here.rest.post("/api/models/reader/explain", json={"text": "soul"})
    page = (await here.rest.get("/metrics")).text
    assert "invented" not in page
    assert "nowhere" not in page
    assert 'code="NOT_FOUND",door="rest",model="unknown",operation="classify"} 3.0' in page
    assert 'code="NOT_FOUND",door="grpc",model="unknown",operation="classify"} 3.0' in page
    assert 'code="OK",door="rest",model="digits",operation="classify"} 1.0' in page
    assert 'code="OK",door="rest",model="reader",operation="explain"} 1.0' in page
    assert 'tensorgate_gateway_batch_rows_count{model="digits"}' in page
    assert "process_resident_memory_bytes" in page


async def test_the_openapi_page_shows_every_door_with_its_bodies(here: World) -> None:
    page = (await here.rest.get("/openapi.json")).json()
    assert (await here.rest.get("/docs")).status_code == 200
    for task in ("classify", "regress", "generate-text", "generate-image", "explain"):
        for form in ("", "/versions/{version}", "/labels/{label}"):
            post = page["paths"][f"/api/models/{{model}}{form}/{task}"]["post"]
            assert post["requestBody"]["content"]["application/json"]["schema"]["example"]
            assert "$ref" in post["responses"]["200"]["content"]["application/json"]["schema"]
    assert "/v1/models/{model}:predict" in page["paths"]
    assert {"/livez", "/readyz", "/metrics", "/api/models"} <= page["paths"].keys()


async def test_a_slow_model_server_meets_the_deadline_on_rest_and_grpc() -> None:
    async with world(models={"houses": HOUSES}, timeout_seconds=0.2) as here:
        here.server.pause = lambda: asyncio.sleep(30)
        body = {"instance": {"rooms": 1}}
        for headers in ({}, {"X-Request-Timeout-Seconds": "0.1"}):
            answer = await here.rest.post("/api/models/houses/regress", json=body, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "DEADLINE_EXCEEDED")
        request = pb.RegressRequest(
            model=pb.Model(name="houses"), instances=[pb.Instance(inputs={"rooms": pb.Value(number=1)})]
        )
        for seconds in (None, 0.1):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await here.inference.Regress(request, timeout=seconds)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await eventually(lambda: here.has_cancelled(4))


async def test_the_time_that_is_left_travels_to_the_model_server(here: World) -> None:
    here.server.budgets.clear()
    path, body = "/api/models/houses/regress", {"instance": {"rooms": 1}}
    await here.rest.post(path, json=body)
    await here.rest.post(path, json=body, headers={"X-Request-Timeout-Seconds": "7"})
    request = pb.RegressRequest(
        model=pb.Model(name="houses"), instances=[pb.Instance(inputs={"rooms": pb.Value(number=1)})]
    )
    await here.inference.Regress(request, timeout=9)
    for budget, given in zip(here.server.budgets, (30, 7, 9), strict=True):
        assert budget is not None
        assert given - 3 < budget < given + 0.1  # gRPC rounds up


async def test_a_request_that_waits_for_another_ones_call_meets_its_own_deadline() -> None:
    async with world(models={"houses": HOUSES}) as here:
        here.server.pause = lambda: asyncio.sleep(1)
        path, body = "/api/models/houses/regress", {"instance": {"rooms": 1}}
        patient = asyncio.create_task(here.rest.post(path, json=body))
        await eventually(lambda: here.has_called(1))
        hasty = await here.rest.post(path, json=body, headers={"X-Request-Timeout-Seconds": "0.1"})
        assert (hasty.status_code, hasty.json()["error"]["code"]) == (504, "DEADLINE_EXCEEDED")
        assert not patient.done()
        assert (await patient).status_code == 200
        assert len(here.server.calls) == 1
