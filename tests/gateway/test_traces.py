"""Traces of requests, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from services.core.errors import FailedPrecondition, InvalidArgument, Unavailable
from services.core.tensors import to_proto
from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.gateway.settings import TracesSettings
from services.gateway.tracing import open_tracing
from services.stubs.tensorgate.v1 import inference_pb2
from tests.gateway.collector import Collector, Told, collecting
from tests.gateway.several import MODELS, Held, failing, regress
from tests.gateway.test_keys import line
from tests.gateway.test_process import gateway, store
from tests.gateway.world import World, eventually, world
from tests.polling import until
from tests.ports import free_port

pytestmark = pytest.mark.anyio
__all__ = ["store"]  # a fixture

SERVER, CLIENT = 2, 3  # SpanKind
EVENTS = {"Accept": "text/event-stream"}
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "10"}


def traceparent(number: int, *, sampled: bool = True) -> dict[str, str]:
    """The header of a client whose trace has that number, and whose span is `client`'s."""
    return {"traceparent": f"00-{number:032x}-{CLIENT_SPAN}-{int(sampled):02x}"}


CLIENT_SPAN = "00f067aa0ba902b7"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Without variables of OpenTelemetry that somebody has set."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in FAST.items():
        monkeypatch.setenv(name, value)
    yield monkeypatch


@pytest.fixture
def collector(environment: pytest.MonkeyPatch) -> Iterator[Collector]:
    """One that answers, and is named in the environment."""
    with collecting() as running:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
async def here(collector: Collector) -> AsyncIterator[World]:
    """A gateway that is traced."""
    tracing = open_tracing(TracesSettings())
    assert tracing is not None
    async with world(tracing=tracing) as made:
        made.server.calls.clear()
        made.server.metadata.clear()
        yield made
    tracing.close()


async def trace_of(collector: Collector, number: int) -> tuple[Told, list[Told]]:
    """The door's span of a client's trace and the others, in the order of their ends."""

    async def has_door() -> bool:
        return any(span.kind == SERVER for span in collector.of(f"{number:032x}"))

    await eventually(has_door)
    spans = sorted(collector.of(f"{number:032x}"), key=lambda span: span.end)
    (door,) = (span for span in spans if span.kind == SERVER)
    return door, [span for span in spans if span is not door]


async def test_a_rest_request_is_a_span_in_its_clients_trace_and_the_call_a_span_in_that(
    here: World, collector: Collector
) -> None:
    assert (await regress(here, **traceparent(1))).status_code == 200
    door, (call,) = await trace_of(collector, 1)
    assert (door.name, door.parent, door.failed) == ("POST /api/models/{model}/regress", CLIENT_SPAN, False)
    assert door.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/models/{model}/regress",
        "http.response.status_code": 200,
        "url.path": "/api/models/houses/regress",
        "url.scheme": "http",
        "tensorgate.model": "houses",
        "tensorgate.version": 1,
    }
    assert (call.name, call.parent, call.kind, call.failed) == ("call", door.id, CLIENT, False)
    host, _, port = here.listener.address.partition(":")
    assert call.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "tensorflow.serving.PredictionService/Predict",
        "rpc.response.status_code": "OK",
        "server.address": host,
        "server.port": int(port),
        "tensorgate.model": "houses",
        "tensorgate.version": 1,
        "tensorgate.batch.requests": 1,
        "tensorgate.batch.rows": 1,
    }
    assert door.begin <= call.begin <= call.end <= door.end
    assert here.server.metadata[0]["traceparent"] == f"00-{1:032x}-{call.id}-01"
    assert collector.services == {"tensorgate-gateway"}


async def test_a_grpc_call_is_one_too(here: World, collector: Collector) -> None:
    request = predict_pb2.PredictRequest(inputs={"x": to_proto(np.ones(3, np.float32))})
    request.model_spec.name = "affine"
    stub = prediction_service_pb2_grpc.PredictionServiceStub(here.channel)
    await stub.Predict(request, metadata=tuple(traceparent(2).items()))
    door, (call,) = await trace_of(collector, 2)
    assert (door.name, door.parent) == ("tensorflow.serving.PredictionService/Predict", CLIENT_SPAN)
    assert door.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "tensorflow.serving.PredictionService/Predict",
        "rpc.response.status_code": "OK",
        "tensorgate.model": "affine",
        "tensorgate.version": 1,
    }
    assert (call.parent, call.attributes["tensorgate.batch.rows"]) == (door.id, 3)
    assert here.server.metadata[0]["traceparent"] == f"00-{2:032x}-{call.id}-01"


async def test_without_a_clients_trace_a_request_begins_one(here: World, collector: Collector) -> None:
    assert (await regress(here)).status_code == 200
    told = here.server.metadata[0]["traceparent"].split("-")[1]
    door, (call,) = await trace_of(collector, int(told, 16))
    assert (door.parent, call.parent) == ("", door.id)


async def test_each_request_of_a_batch_has_the_call_and_its_wait_in_its_own_trace(
    here: World, collector: Collector
) -> None:
    held = Held(here.server, "houses")
    here.server.pause = held.pause
    first = asyncio.create_task(regress(here, **traceparent(3)))
    await eventually(lambda: here.has_called(1))
    others = [asyncio.create_task(regress(here, **traceparent(number))) for number in (4, 5)]
    await eventually(lambda: _queued(here, 2))
    held.let_go.set()
    assert {answer.status_code for answer in await asyncio.gather(first, *others)} == {200}
    _, (of_first,) = await trace_of(collector, 3)
    calls = {}
    for number in (4, 5):
        door, (queue, call) = await trace_of(collector, number)
        assert (queue.name, queue.parent, call.name, call.parent) == ("queue", door.id, "call", door.id)
        assert door.begin <= queue.begin < of_first.end <= queue.end <= call.end
        calls[number] = call
        assert call.attributes["tensorgate.batch.rows"] == call.attributes["tensorgate.batch.requests"] == 2
    assert calls[4].id != calls[5].id
    assert [told.get("traceparent") for told in here.server.metadata][1:] == [None]
    assert of_first.name == "call"


async def test_a_request_that_waits_alone_is_traced_as_itself(here: World, collector: Collector) -> None:
    held = Held(here.server, "houses")
    here.server.pause = held.pause
    asking = [asyncio.create_task(regress(here, **traceparent(6)))]
    await eventually(lambda: here.has_called(1))
    asking.append(asyncio.create_task(regress(here, **traceparent(7))))
    await eventually(lambda: _queued(here, 1))
    held.let_go.set()
    await asyncio.gather(*asking)
    _, (_, call) = await trace_of(collector, 7)
    assert here.server.metadata[1]["traceparent"] == f"00-{7:032x}-{call.id}-01"


async def test_a_wait_for_a_free_model_server_is_a_span(collector: Collector) -> None:
    tracing = open_tracing(TracesSettings())
    assert tracing is not None
    async with world(MODELS, tracing=tracing, server_calls=1) as here:
        held = Held(here.server, "houses")
        here.server.pause = held.pause
        first = asyncio.create_task(regress(here))
        await eventually(lambda: here.has_called(1))
        request = inference_pb2.RegressRequest(model=inference_pb2.Model(name="affine"))
        request.instances.add().inputs["x"].number = 1
        second = here.inference.Regress(request, metadata=tuple(traceparent(28).items()))
        await eventually(lambda: _waits(here))
        held.let_go.set()
        assert (await first).status_code == 200
        await second
    tracing.close()
    door, (slot, call) = await trace_of(collector, 28)
    assert (slot.name, slot.parent, call.name) == ("slot", door.id, "call")
    assert door.begin <= slot.begin < slot.end <= call.begin


async def test_a_fault_is_an_error_of_call_and_door_over_rest_and_grpc(here: World, collector: Collector) -> None:
    here.server.pause = failing(RuntimeError("broken"), times=2)
    assert (await regress(here, **traceparent(8))).status_code == 500
    with pytest.raises(grpc.aio.AioRpcError):
        await here.inference.Regress(_house(), metadata=tuple(traceparent(9).items()))
    for number in (8, 9):
        door, (call,) = await trace_of(collector, number)
        assert (door.failed, door.attributes["error.type"]) == (True, "INTERNAL")
        assert (call.failed, call.attributes["rpc.response.status_code"]) == (True, "INTERNAL")
    assert door.attributes["rpc.response.status_code"] == "INTERNAL"


async def test_what_is_the_clients_fault_is_no_error(here: World, collector: Collector) -> None:
    assert (await regress(here, "nothing", **traceparent(10))).status_code == 404
    door, others = await trace_of(collector, 10)
    assert (door.failed, door.attributes["error.type"], others) == (False, "NOT_FOUND", [])


async def test_what_a_client_writes_is_cut_in_spans(here: World, collector: Collector) -> None:
    request = inference_pb2.RegressRequest(model=inference_pb2.Model(name="x" * 100_000))
    with pytest.raises(grpc.aio.AioRpcError):
        await here.inference.Regress(request, metadata=tuple(traceparent(24).items()))
    door, _ = await trace_of(collector, 24)
    assert door.attributes["tensorgate.model"] == "x" * 1024


async def test_a_call_that_is_made_again_says_nothing_of_who_has_left_since(
    here: World, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    fail = failing(Unavailable("not now"), times=1)

    async def pause() -> None:
        if len(here.server.calls) == 1:
            await first.wait()
        else:
            await second.wait()
            await fail()

    here.server.pause = pause
    asking = [asyncio.create_task(regress(here, **traceparent(25)))]
    await eventually(lambda: here.has_called(1))
    asking += [asyncio.create_task(regress(here, **traceparent(number))) for number in (26, 27)]
    await eventually(lambda: _queued(here, 2))
    first.set()
    await eventually(lambda: here.has_called(2))
    asking[1].cancel()
    await trace_of(collector, 26)
    second.set()
    assert {(await asking[number]).status_code for number in (0, 2)} == {200}
    _, others = await trace_of(collector, 27)
    assert [(span.name, span.failed) for span in others] == [("queue", False), ("call", True), ("call", False)]
    await eventually(lambda: _called(collector, 26))
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


async def test_paths_that_are_not_ours_name_no_span(here: World, collector: Collector) -> None:
    assert (await here.rest.get("/api/secrets/17", headers=traceparent(11))).status_code == 404
    door, _ = await trace_of(collector, 11)
    assert door.name == "GET"
    assert "http.route" not in door.attributes


async def test_probes_and_metrics_have_no_spans(here: World, collector: Collector) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        await here.rest.get(path, headers=traceparent(12))
    await regress(here, **traceparent(13))
    await trace_of(collector, 13)
    assert not collector.of(f"{12:032x}")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/models/writer/generate-text", {"prompt": "", "length": 100}),
        ("/api/models/sketcher/generate-image", {"total": 40}),
        ("/v2/models/writer/generate_stream", {"text_input": "", "parameters": {"max_tokens": 100}}),
        ("/v1/completions", {"model": "writer", "prompt": "", "max_tokens": 100, "stream": True}),
    ],
)
async def test_a_stream_is_one_span_until_its_end(
    here: World, collector: Collector, path: str, body: dict[str, Any]
) -> None:
    async with here.rest.stream("POST", path, json=body, headers={**EVENTS, **traceparent(14)}) as answer:
        assert answer.status_code == 200
        assert [line async for line in answer.aiter_lines()]
    door, calls = await trace_of(collector, 14)
    assert len(calls) > 1
    assert {span.name for span in calls} == {"call"}
    assert {span.parent for span in calls} == {door.id}
    assert door.end >= calls[-1].end
    assert door.attributes["tensorgate.model"] == ("sketcher" if "image" in path else "writer")


async def test_a_stream_over_grpc_is_one_span_until_its_end(here: World, collector: Collector) -> None:
    request = inference_pb2.GenerateTextRequest(model=inference_pb2.Model(name="writer"), prompt="", length=100)
    assert [chunk async for chunk in here.inference.GenerateText(request, metadata=tuple(traceparent(15).items()))]
    door, calls = await trace_of(collector, 15)
    assert len(calls) > 1
    assert door.end >= calls[-1].end


async def test_a_client_that_goes_away_ends_its_spans(here: World, collector: Collector) -> None:
    held = Held(here.server, "houses")
    here.server.pause = held.pause
    asking = asyncio.create_task(regress(here, **traceparent(16)))
    await eventually(lambda: here.has_called(1))
    asking.cancel()
    door, (call,) = await trace_of(collector, 16)
    assert (door.failed, door.attributes["error.type"]) == (False, "CANCELLED")
    assert "http.response.status_code" not in door.attributes
    assert call.attributes["rpc.response.status_code"] == "CANCELLED"
    held.let_go.set()


async def test_what_the_client_does_not_sample_is_not_exported_and_the_model_server_is_told_so(
    here: World, collector: Collector
) -> None:
    assert (await regress(here, **traceparent(17, sampled=False))).status_code == 200
    await regress(here, **traceparent(18))
    await trace_of(collector, 18)
    assert not collector.of(f"{17:032x}")
    told = here.server.metadata[0]["traceparent"]
    assert told.startswith(f"00-{17:032x}-")
    assert told.endswith("-00")


async def test_a_ratio_samples_what_comes_without_a_trace(
    collector: Collector, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    environment.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    tracing = open_tracing(TracesSettings())
    assert tracing is not None
    async with world(tracing=tracing) as here:
        await regress(here)
        await regress(here, **traceparent(19))
    tracing.close()
    assert {span.trace for span in collector.spans} == {f"{19:032x}"}


async def test_strangers_have_no_spans(collector: Collector, tmp_path: Path) -> None:
    keys = tmp_path / "keys.jsonl"
    keys.write_text(line("tg-mine"))
    tracing = open_tracing(TracesSettings())
    assert tracing is not None
    async with world(tracing=tracing, key="tg-mine", keys=keys) as here:
        assert (await regress(here, Authorization="Bearer tg-other", **traceparent(20))).status_code == 401
        with pytest.raises(grpc.aio.AioRpcError):
            await here.inference.Regress(_house(), metadata=tuple(traceparent(20).items()))
        assert (await regress(here, **traceparent(21))).status_code == 200
    tracing.close()
    assert not collector.of(f"{20:032x}")
    assert collector.of(f"{21:032x}")


async def test_a_collector_that_hangs_fails_no_request_and_what_waits_for_it_is_bounded(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    environment.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    with collecting(answering=False) as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        tracing = open_tracing(TracesSettings())
        assert tracing is not None
        async with world(tracing=tracing) as here:
            assert (await regress(here)).status_code == 200
            await asyncio.to_thread(collector.asked.wait)
            for _ in range(40):
                assert (await regress(here)).status_code == 200
            assert (await regress(here, **traceparent(22))).status_code == 200
        collector.answers.set()
        tracing.close()
    assert len(collector.spans) <= 8 + 16
    assert collector.of(f"{22:032x}")  # what is new is kept


async def test_no_collector_at_all_fails_no_request(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    environment.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    tracing = open_tracing(TracesSettings())
    assert tracing is not None
    async with world(tracing=tracing) as here:
        for _ in range(20):
            assert (await regress(here)).status_code == 200
    tracing.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_at_sigterm_the_collector_gets_what_is_left(
    collector: Collector, environment: pytest.MonkeyPatch, store: Path, workers: int
) -> None:
    environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    with gateway(store, workers=workers) as running:
        assert running.regress("houses").status_code == 200
        assert not collector.spans
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
    assert [span.name for span in collector.spans] == ["call", "POST /api/models/{model}/regress"]


def test_a_collector_that_hangs_does_not_keep_the_process(environment: pytest.MonkeyPatch, store: Path) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "120")
    with collecting(answering=False) as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        with gateway(store) as running:
            assert running.regress("houses").status_code == 200
            until(collector.asked.is_set, seconds=10)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(20) == 0


def test_logs_in_json_name_the_request_and_its_trace(
    collector: Collector, environment: pytest.MonkeyPatch, store: Path, tmp_path: Path
) -> None:
    environment.setenv("TENSORGATE_LOG", "json")
    log = tmp_path / "log"
    with log.open("wb") as stderr, gateway(store, stderr=stderr, access_log=True) as running:
        headers = {"X-Request-Id": "mine", **traceparent(23)}
        httpx.post(f"{running.http}/api/models/houses/regress", json={"instance": {"rooms": 2}}, headers=headers)
        running.process.send_signal(signal.SIGTERM)  # the line is written when the answer has left
        assert running.process.wait(20) == 0
    lines = map(json.loads, log.read_text().splitlines())
    (line,) = (line for line in lines if line.get("path") == "/api/models/houses/regress")
    assert (line["request_id"], line["trace_id"], line["status"]) == ("mine", f"{23:032x}", 200)


def test_off_nothing_of_opentelemetry_is_loaded(environment: pytest.MonkeyPatch) -> None:
    code = (
        "import services.gateway.process, sys; from services.gateway.settings import TracesSettings; "
        "from services.gateway.tracing import open_tracing; assert open_tracing(TracesSettings()) is None; "
        "print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_opentelemetrys_own_switches_switch_it_off(collector: Collector, name: str, value: str) -> None:
    assert TracesSettings().endpoint == collector.endpoint
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(name, value)
        assert open_tracing(TracesSettings()) is None


def test_a_collector_without_the_extra_stops_the_start(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "services.gateway.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(FailedPrecondition, match=r"extra `tracing`.*no opentelemetry\.sdk\.trace"):
        open_tracing(TracesSettings())


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]
)
def test_a_collector_that_cannot_be_asked_stops_the_start(
    collector: Collector, environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(InvalidArgument, match=f"Received: .*{value}"):
        open_tracing(TracesSettings())


def test_it_stops_the_start_with_a_sentence(environment: pytest.MonkeyPatch, store: Path) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")
    command = [sys.executable, "-m", "services.gateway"]
    environment.setenv("TENSORGATE_GATEWAY_HTTP_PORT", "0")
    environment.setenv("TENSORGATE_GATEWAY_GRPC_PORT", "0")
    run = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert run.returncode == 1
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in run.stderr
    assert "Traceback" not in run.stderr


def _house() -> Any:
    request = inference_pb2.RegressRequest(model=inference_pb2.Model(name="houses"))
    request.instances.add().inputs["rooms"].number = 1
    return request


async def _queued(here: World, requests: int) -> bool:
    return await here.metric('tensorgate_gateway_queued_requests{model="houses"}') == requests


async def _called(collector: Collector, number: int) -> bool:
    return [span.name for span in collector.of(f"{number:032x}") if span.kind == CLIENT] == ["call"]


async def _waits(here: World) -> bool:
    return await here.metric('tensorgate_gateway_requests_in_flight{protocol="grpc"}') == 1
