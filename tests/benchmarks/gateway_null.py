"""The gateway alone: requests a second over a model server that does nothing, so that only the front door is measured.

Run: python -m tests.benchmarks.gateway_null [--seconds 4] [--connections 1 32] writes docs/benchmarks.md; with
[--only :predict] it prints some rows.
Client (wrk, h2load), gateway and null model server are three processes on this machine. `cpu us` is the gateway's
processor time a request, which does not mind what else the machine does. Each request is answered once and looked at
before it is measured; while it is, answers other than 200 are counted, of gRPC by the gateway's own counter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvloop

from services.core.card import CARD_PATH, InputField, OutputField, SignatureCard, Task
from services.core.sockets import listen
from services.core.tensors import to_proto
from services.core.tfs import predict_pb2
from services.core.tfs_methods import METHODS, PATHS, PREDICTION
from services.gateway.backend import METADATA, PREDICT, STATUS
from services.gateway.health import INFERENCE
from services.rpc.call import Call, Method, Rules
from services.rpc.messages import LARGEST_MESSAGE
from services.rpc.server import Server
from services.store import open_store
from services.stubs.tensorgate.v1 import inference_pb2
from tests.benchmarks.load import Ask, Load, check_installed, grpc_load, http_load
from tests.benchmarks.page import table, write_section
from tests.gateway.backend import Model, Signature, TinyServer
from tests.gateway.models import card_of, png

PICTURE = np.random.default_rng(1).random((28, 28)).round(4)
MODEL = "null"
GRPC_IN_FLIGHT = 32
HEAD = ("request", "in flight", "req/s", "p50, ms", "p99, ms", "processor, us", "failed")
WIDTHS = (24, 9, 8, 8, 8, 13, 6)
NOTE = """
Requests a second of one gateway process over a model server that has its answer ready; client (wrk, for gRPC h2load),
gateway and that model server share the machine. `processor` is the gateway's time a request. Bars: typed REST 10,000
requests/s, gRPC 5,000.
"""


def null_model() -> Model:
    """Ten scores of 28x28 numbers or of a picture; one value of one number."""
    scores = OutputField(name="answer", dtype="float32", shape=(10,), content="scores", labels=tuple("0123456789"))
    value = OutputField(name="answer", dtype="float32", shape=(1,), content="values")
    asked = {
        "serving_default": (InputField(name="image", dtype="float32", shape=(28, 28)), Task.CLASSIFY, scores),
        "classify": (InputField(name="image_bytes", dtype="string", content="image"), Task.CLASSIFY, scores),
        "regress": (InputField(name="x", dtype="float32"), Task.REGRESS, value),
    }
    return {
        name: Signature(
            SignatureCard(task=task, inputs=(field,), outputs=(output,), example={}), lambda columns: columns
        )
        for name, (field, task, output) in asked.items()
    }


class NullServer(TinyServer):
    """Answers with ready-made numbers, without reading a tensor."""

    async def Predict(self, request: Any, context: Any) -> Any:
        """As many rows as were asked."""
        (tensor,) = request.inputs.values()
        columns = 1 if request.model_spec.signature_name == "regress" else 10
        answer = np.full((tensor.tensor_shape.dim[0].size, columns), 0.1, np.float32)
        return predict_pb2.PredictResponse(outputs={"answer": to_proto(answer)})


async def serve(null: NullServer) -> None:
    """The null model server's process. It speaks gRPC as the embedded one does, which takes it the least."""
    methods = {PATHS[name]: unary(PATHS[name], getattr(null, name)) for name in (PREDICT, METADATA, STATUS)}
    port = await Server(Rules(methods, lambda call: None, LARGEST_MESSAGE)).start(listen("127.0.0.1", 0))
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await asyncio.Event().wait()


def unary(path: str, answer: Callable[[Any, Any], Awaitable[Any]]) -> Method:
    """Messages where the wire has bytes."""

    async def method(message: bytes, call: Call) -> bytes:
        reply: bytes = (await answer(METHODS[path].FromString(message), call)).SerializeToString()
        return reply

    return Method(unary=method)


def asks() -> Mapping[str, Ask]:
    """The HTTP requests that are measured."""
    rows = PICTURE.tolist()
    tensor = {"name": "image", "shape": [1, *PICTURE.shape], "datatype": "FP32", "data": PICTURE.reshape(-1).tolist()}
    typed, tfs = f"/api/models/{MODEL}", f"/v1/models/{MODEL}:predict"
    return {
        "GET /livez": Ask("/livez", method="GET", headers={}),
        "typed, one number": Ask(f"{typed}/regress", b'{"instance": {"x": 1.5}}'),
        "typed, 28x28 JSON": Ask(f"{typed}/classify", json.dumps({"instance": {"image": rows}}).encode()),
        "typed, PNG": Ask(f"{typed}/classify", png(28, 28), headers={"Content-Type": "image/png"}),
        ":predict, one number": Ask(tfs, b'{"signature_name": "regress", "instances": [1.5]}'),
        ":predict, 28x28 JSON": Ask(tfs, json.dumps({"instances": [rows]}).encode()),
        "infer, 28x28 JSON": Ask(f"/v2/models/{MODEL}/infer", json.dumps({"inputs": [tensor]}).encode()),
    }


def calls() -> Mapping[str, tuple[str, bytes]]:
    """The gRPC calls that are measured: method and message."""
    predict = predict_pb2.PredictRequest(inputs={"image": to_proto(PICTURE.astype(np.float32)[np.newaxis])})
    predict.model_spec.name = MODEL
    typed = inference_pb2.ClassifyRequest(model=inference_pb2.Model(name=MODEL))
    typed.instances.add().inputs["image_bytes"].data = png(28, 28)
    return {
        "gRPC Predict, 28x28": (f"/{PREDICTION}/Predict", predict.SerializeToString()),
        "gRPC Classify, PNG": (f"/{INFERENCE}/Classify", typed.SerializeToString()),
    }


@contextmanager
def process(
    *command: str, code: Path | None = None, environment: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[tuple[int, Any]]:
    """A process of the code in a folder (None: here): its id, and the JSON line it prints when it is ready."""
    ours = {f"TENSORGATE_GATEWAY_{key.upper()}": str(value) for key, value in settings.items()}
    running = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=code,
        env={**os.environ, **(environment or {}), **ours},
    )
    assert running.stdout is not None
    try:
        yield running.pid, json.loads(running.stdout.readline())
    finally:
        running.kill()
        running.wait()


def main() -> None:
    """Print one line a request and number of connections."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--connections", type=int, nargs="+", default=[1, 32])
    options.add_argument("--only", default="", help="requests with this in their names")
    options.add_argument("--workers", type=int, default=1, help="gateway processes; `cpu us` is of all together")
    options.add_argument("--null-server", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.null_server:
        uvloop.run(serve(NullServer({MODEL: {1: null_model()}})))
    check_installed("wrk", "h2load")
    with TemporaryDirectory() as folder:
        publish(Path(folder))
        with (
            process("-m", "tests.benchmarks.gateway_null", "--null-server") as (_, server),
            process(
                *("-m", "services.gateway", f"--workers={chosen.workers}"),
                store=folder,
                model_server=server["address"],
                http_port=0,
                grpc_port=0,
            ) as (pid, ports),
        ):
            time.sleep(1)  # the first poll finds the model
            print(*(f"{cell:>{width}}" for cell, width in zip(HEAD, WIDTHS, strict=True)))
            rows = list(measure(chosen, pid, ports))
    if not chosen.only:
        write_section("The gateway alone", f"{NOTE}\n{table(HEAD, *rows)}")


def measure(chosen: argparse.Namespace, pid: int, ports: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    """Drive the gateway with each request: a row each."""
    http, grpc = ports["http_port"], ports["grpc_port"]
    for name, ask in asks().items():
        if chosen.only in name:
            looked_at(http, ask)
            for connections in chosen.connections:
                before = cpu_seconds(pid)
                load = http_load(http, ask, connections, chosen.seconds)
                yield cells(name, connections, load, cpu_seconds(pid) - before)
    for name, (method, message) in calls().items():
        if chosen.only in name:
            answered, before = answered_calls(http), cpu_seconds(pid)
            load = grpc_load(grpc, method, message, GRPC_IN_FLIGHT, chosen.seconds)
            spent, answered = cpu_seconds(pid) - before, answered_calls(http) - answered
            failed = max(load.requests - answered, 0)  # those on the way at the end count on one side only
            yield cells(name, GRPC_IN_FLIGHT, replace(load, requests=answered, failed=failed), spent)


def looked_at(port: int, ask: Ask) -> None:
    """The request's answer is one: it has the null model's number."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{ask.path}", ask.body or None, ask.headers, method=ask.method
    )
    with urllib.request.urlopen(request) as reply:
        body = reply.read()
    assert ask.method == "GET" or b"0.1" in body, body


def answered_calls(port: int) -> int:
    """What the gateway has counted."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        lines = page.read().decode().splitlines()
    told = [line for line in lines if line.startswith("tensorgate_gateway_requests_total") and 'code="OK"' in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in told))


def cells(name: str, in_flight: int, load: Load, cpu: float) -> tuple[str, ...]:
    """A row of the table."""
    p50, p99 = ("" if math.isnan(value) else f"{value:.2f}" for value in (load.p50, load.p99))
    spent = f"{cpu / load.requests * 1e6:.0f}"
    row = name, str(in_flight), f"{load.rate:,.0f}", p50, p99, spent, str(load.failed)
    print(*(f"{cell:>{width}}" for cell, width in zip(row, WIDTHS, strict=True)), flush=True)
    return row


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children; unlike the clock, it does not mind what else this machine does."""
    proc = Path(f"/proc/{pid}")
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(cpu_seconds, map(int, (proc / f"task/{pid}/children").read_text().split())))


def publish(store: Path) -> None:
    """Put the null model into a store."""
    with TemporaryDirectory() as folder:
        card = Path(folder) / CARD_PATH
        card.parent.mkdir()
        card.write_text(card_of(MODEL, null_model()).model_dump_json())
        opened = open_store(str(store))
        opened.move_label(MODEL, "stable", opened.publish(MODEL, Path(folder)))


if __name__ == "__main__":
    main()
