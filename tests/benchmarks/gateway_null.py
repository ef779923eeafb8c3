"""The gateway alone: requests a second over a model server that does nothing, so that only the front door is measured.

Run: python -m tests.benchmarks.gateway_null [--seconds 4] [--connections 1 16 64]
Client, gateway and null model server are three processes on this machine; the client keeps its connections open, sends
one request at a time on each, and checks every answer's status and length. `cpu us` is the gateway's processor time a
request.

Where it goes (cProfile, raw PNG): alone, 30 % is grpc.aio's call, 16 % uvicorn's two writes, 6 % ranking labels, 5 %
tensors to and from protobuf, the rest the event loop and small steps of 1 % each. With 16 connections some 8 requests
share a call, grpc.aio falls to 12 %, and JSON with NumPy leads: a third of a 28x28 request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvloop

from services.core.card import CARD_PATH, InputField, OutputField, SignatureCard, Task
from services.core.tensors import to_proto
from services.core.tfs import predict_pb2
from services.store import open_store
from tests.gateway.backend import Model, Signature, TinyServer, serving
from tests.gateway.models import card_of, png

PICTURE = np.random.default_rng(1).random((28, 28)).round(4)


def null_models() -> dict[str, Model]:
    """One classifier of 28x28 numbers or of a picture, with ten labels."""
    scores = OutputField(name="scores", dtype="float32", shape=(10,), content="scores", labels=tuple("0123456789"))
    inputs = {
        "serving_default": InputField(name="image", dtype="float32", shape=(28, 28)),
        "classify": InputField(name="image_bytes", dtype="string", content="image"),
    }
    return {
        "null": {
            name: Signature(
                SignatureCard(task=Task.CLASSIFY, inputs=(field,), outputs=(scores,), example={}),
                lambda columns: {"scores": np.full((len(next(iter(columns.values()))), 10), 0.1, np.float32)},
            )
            for name, field in inputs.items()
        }
    }


class NullServer(TinyServer):
    """Answers with ready-made scores, without reading a tensor."""

    async def Predict(self, request: Any, context: Any) -> Any:
        """As many rows as were asked."""
        (tensor,) = request.inputs.values()
        rows = tensor.tensor_shape.dim[0].size
        return predict_pb2.PredictResponse(outputs={"scores": to_proto(np.full((rows, 10), 0.1, np.float32))})


async def serve_nothing() -> None:
    """The null model server's process."""
    async with serving(NullServer({name: {1: model} for name, model in null_models().items()})) as listener:
        print(json.dumps({"address": listener.address}), flush=True)
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Workload:
    """A name, and the bytes of one whole HTTP request."""

    name: str
    request: bytes


def workloads() -> Sequence[Workload]:
    """The requests that are measured."""
    rows = PICTURE.tolist()
    typed = json.dumps({"instance": {"image": rows}}).encode()
    tfs = json.dumps({"instances": [rows]}).encode()
    return (
        Workload("GET /livez", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
        Workload("typed, 28x28 JSON", _post("/api/models/null/classify", typed)),
        Workload("typed, raw PNG", _post("/api/models/null/classify", png(28, 28), "image/png")),
        Workload(":predict, 28x28 JSON", _post("/v1/models/null:predict", tfs)),
        Workload("infer, 28x28 JSON", _post("/v2/models/null/infer", _infer())),
    )


def _infer() -> bytes:
    tensor = {"name": "image", "shape": [1, *PICTURE.shape], "datatype": "FP32", "data": PICTURE.reshape(-1).tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def _post(path: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def drive(port: int, request: bytes, connections: int, seconds: float) -> list[float]:
    """Seconds each answered request took."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return took


@contextmanager
def process(*command: str, **settings: Any) -> Iterator[tuple[int, Any]]:
    """A process: its id, and the JSON line it prints when it is ready."""
    environment = {**os.environ, **{f"TENSORGATE_GATEWAY_{key.upper()}": str(value) for key, value in settings.items()}}
    running = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment)
    assert running.stdout is not None
    try:
        yield running.pid, json.loads(running.stdout.readline())
    finally:
        running.kill()
        running.wait()


def main() -> None:
    """Print one line a workload and number of connections."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    options.add_argument("--workers", type=int, default=1, help="gateway processes; `cpu us` is of all together")
    options.add_argument("--null-server", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.null_server:
        uvloop.run(serve_nothing())
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
            print(f"{'':24}{'conns':>6}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'cpu us':>9}")
            for work in workloads():
                for connections in chosen.connections:
                    before = cpu_seconds(pid)
                    took = uvloop.run(drive(ports["http_port"], work.request, connections, chosen.seconds))
                    spent = (cpu_seconds(pid) - before) / len(took) * 1e6
                    p50, p99 = np.percentile(took, [50, 99]) * 1000
                    rate = len(took) / chosen.seconds
                    print(f"{work.name:24}{connections:6}{rate:9.0f}{p50:9.2f}{p99:9.2f}{spent:9.0f}")


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
        card.write_text(card_of("null", null_models()["null"]).model_dump_json())
        opened = open_store(str(store))
        opened.move_label("null", "stable", opened.publish("null", Path(folder)))


if __name__ == "__main__":
    main()
