"""What each stage of a request costs the gateway, in microseconds: `python -m tests.benchmarks.stages` writes
docs/benchmarks.md; with a part of a stage's name it prints some.

In one process, without network: the model server has answered before it is asked, and a request is a scope with a
body. `whole` is the ASGI application around the other stages, from scope to last message. Processor time, the best of
many turns: other programs only ever add.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import uvloop
from prometheus_client import CollectorRegistry

from services.core.card import Card, Expected, Task
from services.core.refs import ModelRef
from services.core.tensors import from_proto, to_proto
from services.core.tfs_json import encode_predict
from services.gateway import answers
from services.gateway.admission import Admission, Limits
from services.gateway.backends import Backends
from services.gateway.batcher import Batcher, BatchLimits
from services.gateway.edge import Edge
from services.gateway.grpc_calls import GrpcCalls
from services.gateway.hot_paths import HotPaths
from services.gateway.instances import Picture
from services.gateway.metrics import Metrics
from services.gateway.open_inference_infer import OpenInferenceInfer
from services.gateway.plane import DataPlane
from services.gateway.predictions import Predictions
from services.gateway.request import Answer, Call, Columns, Request, Tensors
from services.gateway.routing_table import ModelRoutes, RoutingTable, Servable
from services.gateway.schemas import ClassifyBody
from services.gateway.tfs_grpc import TfsGrpc
from services.gateway.tfs_rest import PredictPayload, TfsRest
from services.gateway.tracing import TRACES
from services.gateway.typed_bodies import read_instances
from services.gateway.typed_rest import TypedRest
from services.rpc import call as rpc
from tests.benchmarks.gateway_null import MODEL, PICTURE, asks, calls, null_model
from tests.benchmarks.load import Ask
from tests.benchmarks.page import table, write_section
from tests.gateway.backend import signature_def
from tests.gateway.models import card_of, png

TURNS, TIMES, TOGETHER = 15, 200, 16
SECONDS, BODY_BYTES = 30.0, 1 << 20
SCORES, VALUE = np.full((1, 10), 0.1, np.float32), np.full((1, 1), 0.1, np.float32)
PIXELS = PICTURE.astype(np.float32)[np.newaxis]

NOTE = """
Microseconds of processor time in one process, without network or model server; `whole` is a request from the HTTP
server's hands and back. What is read of a request, said of a version or asked of a path again and again is worked out
once.
"""

Stage = Callable[[], Awaitable[Any]]


def servable() -> Servable:
    """The null model, as the routing table has it."""
    model = null_model()
    definitions = {name: signature_def(signature.card) for name, signature in model.items()}
    return Servable(MODEL, 1, expecting(card_of(MODEL, model)), definitions, ("",))


def expecting(card: Card) -> Card:
    """With what a trained one expects of its ten scores, so that they are counted."""
    shares = {str(digit): 0.1 for digit in range(10)}
    return card.model_copy(update={"expected": {"answer": Expected(columns=10, shares=shares)}})


SERVABLE = servable()


class OneRoute:
    """A routing table of one version."""

    def route(self, ref: ModelRef) -> Servable:
        """It, whatever is asked."""
        return SERVABLE

    async def refresh(self, doubtful: str) -> None:
        """There is nothing to read."""


async def answered(call: Call) -> Columns:
    """A model server that has answered before it was asked."""
    answer = VALUE if call.signature == "regress" else SCORES
    return {"answer": answer if call.rows == 1 else answer.repeat(call.rows or 1, axis=0)}


@dataclass(frozen=True)
class Ready:
    """A payload that has been read."""

    read: Tensors

    def tensors(self, servable: Servable) -> Tensors:
        """It."""
        return self.read


READ = Ready(Tensors("serving_default", {"image": PIXELS}))
ANSWER = Answer(SERVABLE, "serving_default", {"answer": SCORES})


def plane() -> DataPlane:
    """As the gateway has it, before a model server that costs nothing."""
    admission = Admission(Limits(), asyncio.get_running_loop().time)
    metrics, predictions = Metrics(CollectorRegistry()), Predictions(CollectorRegistry())
    routes = ModelRoutes(MODEL, {}, {}, {1: SERVABLE}, {}, {})
    predictions.table(RoutingTable({MODEL: routes}, servers={"": True}))
    batcher = Batcher(predictions.counted(answered), BatchLimits(), metrics)
    return DataPlane(admission, OneRoute(), batcher, metrics=metrics)


def application(plane: DataPlane) -> Edge:
    """The doors that are asked most."""
    typed = TypedRest(plane, BODY_BYTES, SECONDS)
    tfs = TfsRest(plane, cast(Backends, None), body_bytes=BODY_BYTES, seconds=SECONDS)
    infer = OpenInferenceInfer(plane, BODY_BYTES, SECONDS).infer
    asked = {("api", "classify"): typed.classify, ("api", "regress"): typed.regress, ("v2", "infer"): infer}
    return Edge(HotPaths(asked, {}, tfs.answer, nobody), Metrics(CollectorRegistry()), access_log=False)


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    """No other path is asked."""
    raise AssertionError(scope["path"])


def whole(app: Edge, ask: Ask) -> Stage:
    """A request as the HTTP server hands it over."""
    headers = [(name.lower().encode(), value.encode()) for name, value in ask.headers.items()]
    headers.append((b"content-length", str(len(ask.body)).encode()))
    path = {"path": ask.path, "raw_path": ask.path.encode(), "query_string": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": ask.body, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    async def request() -> None:
        await app({"type": "http", "method": "POST", **path, "headers": headers}, receive, send)

    return request


def whole_grpc(road: DataPlane) -> Stage:
    """Predict as gRPC hands it over."""
    (method, message), *_ = calls().values()
    door = TfsGrpc(road, cast(Backends, None), GrpcCalls(Metrics(CollectorRegistry()), SECONDS), BODY_BYTES)
    answer = door.methods[method].unary
    assert answer is not None
    return lambda: answer(message, rpc.Call(method, (), None))


def untraced() -> None:
    """All that a request does for traces where there is no collector: looks in the four places that would tell them."""
    context = copy_context()
    for look in (TRACES.get, TRACES.get, partial(context.get, TRACES, ()), partial(context.get, TRACES, ())):
        assert not look()


def plain(function: Callable[[], Any]) -> Stage:
    """A stage that awaits nothing."""

    async def stage() -> None:
        function()

    return stage


def stages() -> Mapping[str, Stage]:
    """All, in the order of a request."""
    road, ask = plane(), asks()
    request = Request(ModelRef(MODEL), READ, asyncio.get_running_loop().time() + 3600)
    tfs, typed, picture = ask[":predict, 28x28 JSON"].body, ask["typed, 28x28 JSON"].body, png(28, 28)
    batch = np.concatenate([PIXELS] * TOGETHER)

    def read_typed() -> Tensors:
        payload, _ = read_instances(typed, Task.CLASSIFY, ClassifyBody)
        return payload.tensors(SERVABLE)

    async def together() -> None:
        await asyncio.gather(*(road.predict(request) for _ in range(TOGETHER)))

    app = application(road)
    return {
        "parse :predict, 28x28 JSON": plain(lambda: PredictPayload(tfs).tensors(SERVABLE)),
        "parse typed, 28x28 JSON": plain(read_typed),
        "parse typed, PNG": plain(lambda: Picture(Task.CLASSIFY, picture).tensors(SERVABLE)),
        "plane: admit, route, batch": lambda: road.predict(request),
        f"plane, {TOGETHER} requests together": together,
        "call, 1 row": plain(lambda: from_proto(to_proto(PIXELS))),
        f"call, {TOGETHER} rows": plain(lambda: from_proto(to_proto(batch))),
        "encode :predict, 10 scores": plain(lambda: encode_predict(ANSWER.columns, row_format=True)),
        "encode typed, 10 scores": plain(lambda: answers.classifications(ANSWER, answers.Choice())),
        **{f"whole {name}": whole(app, one) for name, one in ask.items() if one.method == "POST"},
        "whole gRPC Predict, 28x28": whole_grpc(road),
        "traces that nobody collects": plain(untraced),
    }


async def microseconds(stage: Stage) -> float:
    """The best turn's mean."""
    best = float("inf")
    for _ in range(TURNS):
        began = time.thread_time()
        for _ in range(TIMES):
            await stage()
        best = min(best, time.thread_time() - began)
    return best / TIMES * 1e6


async def main(wanted: str) -> None:
    """One row a stage."""
    rows = []
    for name, stage in stages().items():
        if wanted in name:
            rows.append((name, f"{await microseconds(stage):.1f}"))
            print("{:36}{:>8}".format(*rows[-1]), flush=True)
    if not wanted:
        write_section("What a request costs the gateway", f"{NOTE}\n{table(('stage', 'us'), *rows)}")


if __name__ == "__main__":
    uvloop.run(main("".join(sys.argv[1:2])))
