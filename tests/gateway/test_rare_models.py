"""A rare model: nobody has it until it is asked for, and until then the gateway says so at every door."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.cli.keys import key
from services.core.errors import Unavailable
from services.core.refs import ModelRef
from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.core.turns import AT_REST_AT_ONCE
from services.gateway.backend import Backend
from services.gateway.overload import Starting
from services.gateway.router import Router
from services.gateway.routing_table import ModelRoutes, RoutingTable
from services.gateway.settings import GatewaySettings
from services.store import open_store
from services.stubs.inference import open_inference_pb2
from services.stubs.inference.open_inference_pb2_grpc import GRPCInferenceServiceStub
from services.stubs.tensorgate.v1 import inference_pb2
from tests.gateway.backend import serving
from tests.gateway.models import AFFINE, HOUSES
from tests.gateway.several import are_up, regress
from tests.gateway.test_server_watch import Counting
from tests.gateway.world import World, eventually, world

pytestmark = pytest.mark.anyio

ASKED = "tensorgate_gateway_rare_model_asked_timestamp_seconds"
ROUTES = ModelRoutes("m", {"stable": 1}, {}, {}, {}, {"stable": 1}, rare=True)


@asynccontextmanager
async def away(**settings: Any) -> AsyncIterator[World]:
    """Two servers: one has `affine`, the other had `houses`, which is rare, and is gone."""
    async with world({"houses": HOUSES, "affine": AFFINE}, servers=2, rare="houses,other", **settings) as here:
        del here.servers[0].loaded["houses"], here.servers[1].loaded["affine"]
        await here.listeners[1].stop()
        await eventually(lambda: are_up(here, 1))
        yield here


async def test_every_door_says_that_a_server_is_started_and_when_to_come_again() -> None:
    bodies = {
        "/api/models/houses/regress": {"instance": {"rooms": 1}},
        "/v1/models/houses:predict": {"instances": [1]},
        "/v1/models/houses:regress": {"examples": [{"rooms": 1.0}]},
        "/v2/models/houses/infer": {"inputs": [{"name": "rooms", "shape": [1], "datatype": "FP32", "data": [1]}]},
        "/v1/completions": {"model": "houses", "prompt": "a"},
        "/v1/images/generations": {"model": "houses", "prompt": "a"},
    }
    async with away() as here:
        for path, body in bodies.items():
            answer = await here.rest.post(path, json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30"), path
            assert "Model houses is a rare one" in answer.text
        named = predict_pb2.PredictRequest()
        named.model_spec.name = "houses"
        for call in (
            prediction_service_pb2_grpc.PredictionServiceStub(here.channel).Predict(named),
            GRPCInferenceServiceStub(here.channel).ModelInfer(  # type: ignore[no-untyped-call]  # generated code
                open_inference_pb2.ModelInferRequest(model_name="houses")
            ),
            here.inference.Regress(inference_pb2.RegressRequest(model=inference_pb2.Model(name="houses"))),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "try again in a minute" in (refused.value.details() or "")
            assert ("grpc-retry-pushback-ms", "30000") in tuple(refused.value.trailing_metadata() or ())


async def test_who_asks_starts_it_and_is_answered_when_it_is_there() -> None:
    async with away() as here:
        assert await here.is_ready(), "nothing is wrong"
        page = (await here.rest.get("/metrics")).text
        assert f'{ASKED}{{model="houses"}} 0.0' in page and f'{ASKED}{{model="other"}} 0.0' in page
        await here.rest.get("/api/models/houses")
        body = {"instance": {"x": 1}}
        assert (await here.rest.post("/api/models/affine/regress", json=body)).status_code == 200
        assert (await here.rest.post("/api/models/nobodys/regress", json=body)).status_code == 404
        assert not await here.metric(f'{ASKED}{{model="houses"}}'), "who looks does not ask"
        assert (await regress(here)).status_code == 503
        await eventually(lambda: was_asked(here))
        assert abs(await here.metric(f'{ASKED}{{model="houses"}}') - time.time()) < 20
        await here.listeners[1].start()
        await eventually(lambda: is_answered(here))
        page = (await here.rest.get("/metrics")).text
        assert f'{ASKED}{{model="affine"}}' not in page and f'{ASKED}{{model="nobodys"}}' not in page


async def test_whose_key_is_for_other_models_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key("alice", models="affine", file=tmp_path / "keys.jsonl")
    secret = capsys.readouterr().out.strip()
    async with world({"affine": AFFINE}, key=secret, keys=tmp_path / "keys.jsonl", rare="houses") as here:
        here.store.move_label("houses", "stable", here.publish("houses", HOUSES))
        assert (await regress(here)).status_code == 403
        assert not await here.metric(f'{ASKED}{{model="houses"}}')


def test_one_that_a_server_is_loading_is_nearly_there_and_one_without_labels_is_nowhere() -> None:
    with pytest.raises(Starting):
        RoutingTable({"m": ROUTES}, {"a": True}).find(ModelRef("m"))
    with pytest.raises(Starting):
        RoutingTable({"m": ROUTES}, {"a": False}).find(ModelRef("m"))
    loading = ModelRoutes("m", ROUTES.labels, {1: "LOADING"}, {}, {}, ROUTES.routed, rare=True)
    with pytest.raises(Unavailable, match="Its state: LOADING") as refused:
        RoutingTable({"m": loading}, {"a": True}).find(ModelRef("m"))
    assert not isinstance(refused.value, Starting)


def test_a_gateway_is_ready_while_all_that_is_missing_is_rare() -> None:
    common = ModelRoutes("c", {"stable": 1}, {}, {}, {}, {"stable": 1})
    assert RoutingTable({"m": ROUTES}, {"a": True}).ready
    assert not RoutingTable({"m": ROUTES}, {"a": False}).ready
    assert not RoutingTable({"m": ROUTES, "c": common}, {"a": True}).ready


def test_without_rare_models_their_servers_are_not_asked() -> None:
    assert GatewaySettings(model_server=("a:1", "b:1"), rare_server=("c:1",)).servers == ("a:1", "b:1")
    assert GatewaySettings(model_server=("a:1",), rare=("m",), rare_server=("c:1", "a:1")).servers == ("a:1", "c:1")


async def test_a_server_is_asked_by_turns_about_what_another_group_has_or_need_not_have(tmp_path: Path) -> None:
    async def heard(table: RoutingTable) -> None:
        """Nobody."""

    store = open_store(str(tmp_path / "store"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"graph")
    names = [f"m{number:02}" for number in range(100)]
    for name in names:
        store.move_label(name, "stable", store.publish(name, tmp_path / "model"))
    server = Counting()
    async with serving(server) as listener:
        backend = Backend(listener.address)
        router = Router(store, [backend], heard, rare=names[1:])
        for _ in range(2):
            server.looked_at.clear()
            await router.refresh()
        assert len(server.looked_at) == 1 + AT_REST_AT_ONCE, "m00, which it shall have, and some of the others"
        await backend.close()


async def test_the_states_of_a_model_are_told_by_whichever_of_many_servers_has_it() -> None:
    async with world({"affine": AFFINE}, servers=6) as here:
        for server in here.servers[:-1]:
            del server.loaded["affine"]
        for _ in range(6):
            assert (await here.rest.get("/v1/models/affine")).status_code == 200
        assert (await here.rest.get("/v1/models/nobodys")).status_code == 404


async def was_asked(here: World) -> bool:
    """The page says so."""
    return await here.metric(f'{ASKED}{{model="houses"}}') > 0


async def is_answered(here: World) -> bool:
    """The same request."""
    return (await regress(here)).status_code == 200
