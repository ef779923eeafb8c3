"""What the metrics page of a running gateway tells."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time

import grpc.aio
import pytest

from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.stubs.inference import open_inference_pb2
from services.stubs.inference.open_inference_pb2_grpc import GRPCInferenceServiceStub
from services.stubs.tensorgate.v1 import inference_pb2
from tests.gateway.models import AFFINE
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio

G = "tensorgate_gateway"


async def ask(here: World, model: str = "affine") -> None:
    """One row."""
    assert (await here.rest.post(f"/v1/models/{model}:predict", json={"instances": [1.0]})).status_code == 200


async def test_rows_tell_how_the_traffic_is_shared_among_versions() -> None:
    async with world({"affine": AFFINE}) as here:
        await ask(here)
        here.go_live("affine", AFFINE)
        await eventually(lambda: routed(here, 2))
        await ask(here)
        await ask(here)
        assert await here.metric(f'{G}_rows_total{{model="affine",version="1"}}') == 1
        assert await here.metric(f'{G}_rows_total{{model="affine",version="2"}}') == 2
        assert await here.metric(f'{G}_stage_seconds_count{{model="affine",stage="call"}}') == 3


async def test_a_model_that_is_not_in_the_store_is_no_label_whatever_door_it_is_asked_at() -> None:
    name = "nobodys"
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    async with world({"affine": AFFINE}) as here:
        for path, body in {
            f"/api/models/{name}/regress": {"instance": {"x": 1}},
            f"/v1/models/{name}:predict": {"instances": [1]},
            f"/v2/models/{name}/infer": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]},
            "/v1/completions": {"model": name, "prompt": "a"},
        }.items():
            assert (await here.rest.post(path, json=body)).status_code == 404
        for call in (
            prediction_service_pb2_grpc.PredictionServiceStub(here.channel).Predict(request),
            GRPCInferenceServiceStub(here.channel).ModelInfer(  # type: ignore[no-untyped-call]  # generated code
                open_inference_pb2.ModelInferRequest(model_name=name)
            ),
            here.inference.Regress(inference_pb2.RegressRequest(model=inference_pb2.Model(name=name))),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        page = (await here.rest.get("/metrics")).text
    asked = [line for line in page.splitlines() if line.startswith(f"{G}_requests_total{{")]
    unknown = [line for line in asked if 'code="NOT_FOUND"' in line and 'model="unknown"' in line]
    assert sum(float(line.rpartition(" ")[2]) for line in unknown) == 7
    assert name not in page


async def test_a_roll_out_shows_what_is_wanted_and_what_answers_and_a_label_that_goes_is_zero() -> None:
    async with world({"affine": AFFINE}) as here:
        here.store.move_label("affine", "stable", here.publish("affine", AFFINE))
        line = '{label="stable",model="affine"}'
        await eventually(lambda: shows(here, f"{G}_wanted_version{line}", 2))
        assert await here.metric(f"{G}_routed_version{line}") == 1
        here.server.loaded["affine"][2] = AFFINE
        await eventually(lambda: shows(here, f"{G}_routed_version{line}", 2))
        assert await here.metric(f'{G}_callable_versions{{model="affine"}}') == 2
        here.store.move_label("affine", "canary", 1)
        await eventually(lambda: shows(here, f'{G}_wanted_version{{label="canary",model="affine"}}', 1))
        here.store.remove_label("affine", "canary")
        await eventually(lambda: shows(here, f'{G}_wanted_version{{label="canary",model="affine"}}', 0))


async def test_what_waits_and_what_is_under_way_is_seen_and_then_gone() -> None:
    async with world({"affine": AFFINE}) as here:
        gate = asyncio.Event()

        async def shut() -> None:
            await gate.wait()

        here.server.pause = shut
        asking = [asyncio.create_task(ask(here)) for _ in range(5)]
        await eventually(lambda: shows(here, f'{G}_queued_requests{{model="affine"}}', 4))
        assert await here.metric(f'{G}_requests_in_flight{{protocol="http"}}') >= 5
        gate.set()
        await asyncio.gather(*asking)
        await eventually(lambda: shows(here, f'{G}_queued_requests{{model="affine"}}', 0))
        assert await here.metric(f'{G}_stage_seconds_count{{model="affine",stage="queue"}}') == 4


async def test_texts_and_pictures_are_counted_piece_by_piece() -> None:
    async with world() as here:
        body = {"prompt": "abc", "length": 40}
        whole = (await here.rest.post("/api/models/writer/generate-text", json=body)).json()["text"]
        assert await here.metric(f'{G}_text_characters_total{{model="writer"}}') == len(whole)
        assert not await here.metric(f'{G}_first_text_seconds_count{{model="writer"}}'), "nobody read along"
        events = {"Accept": "text/event-stream"}
        await here.rest.post("/api/models/writer/generate-text", json=body, headers=events)
        assert await here.metric(f'{G}_first_text_seconds_count{{model="writer"}}') == 1
        assert await here.metric(f'{G}_streams{{task="generate_text"}}') == 0
        drawn = await here.rest.post("/api/models/sketcher/generate-image", json={"total": 5})
        assert drawn.status_code == 200, drawn.text
        assert await here.metric(f'{G}_picture_steps_total{{model="sketcher"}}') >= 5


async def test_when_the_store_was_last_read_stands_still_while_it_cannot_be(caplog: pytest.LogCaptureFixture) -> None:
    async with world({"affine": AFFINE}) as here:
        name = f"{G}_store_read_timestamp_seconds"
        assert abs(await here.metric(name) - time.time()) < 20
        away = here.folder.with_name(f"{here.folder.name}-away")
        here.folder.rename(away)
        here.folder.touch()  # no folder, so it cannot be listed

        async def failed() -> bool:
            return sum("the store cannot be read" in record.message for record in caplog.records) > 0

        try:
            await eventually(failed)
            stood = await here.metric(name)
            caplog.clear()
            await eventually(failed)
            assert await here.metric(name) == stood
        finally:
            here.folder.unlink()
            away.rename(here.folder)
        await eventually(lambda: moved_on(here, name, stood))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: make deploy-check does that")
async def test_promtool_finds_nothing_to_say_of_the_page() -> None:
    async with world() as here:
        await ask(here)
        page = (await here.rest.get("/metrics")).text
    run = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


async def routed(here: World, version: int) -> bool:
    """The label stable is there."""
    return await shows(here, f'{G}_routed_version{{label="stable",model="affine"}}', version)


async def moved_on(here: World, line: str, value: float) -> bool:
    """The page says more."""
    return await here.metric(line) > value


async def shows(here: World, line: str, value: float) -> bool:
    """The page says so now."""
    return await here.metric(line) == value
