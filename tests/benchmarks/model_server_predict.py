"""How fast the embedded model server answers Predict: `python -m tests.benchmarks.model_server_predict`.

Prints the microseconds of each step in one process, then requests a second over gRPC and the median latency with 1 and
16 callers. The model is the small Keras mlp of the recorded exchanges (TENSORGATE_CONFORMANCE).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import uvloop

from services.core.tensors import from_proto, to_typed_proto
from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.model_server.loader import SavedModelLoader
from services.model_server.predict import predict
from services.model_server.servable import Servable
from tests.model_server.server_process import conformance, predict_request, running

CALLS = 4000
REQUEST = predict_request("mlp", {"features": np.ones((1, 4), np.float32)})


def microseconds(step: Callable[[], object]) -> float:
    for _ in range(100):
        step()
    began = time.perf_counter()
    for _ in range(CALLS):
        step()
    return (time.perf_counter() - began) / CALLS * 1e6


def steps(model: Path) -> None:
    session, signatures = SavedModelLoader().load(model / "2")
    servable = Servable(session, signatures, threads=1, version=2)
    signature = signatures["serving_default"]
    feeds = {signature.inputs["features"].name: np.ones((1, 4), np.float32)}
    fetches = [signature.outputs["output_0"].name]
    data, tensor = REQUEST.SerializeToString(), REQUEST.inputs["features"]
    answer = servable.run(feeds, fetches)[0]
    for name, step in (
        ("parse", lambda: predict_pb2.PredictRequest.FromString(data)),
        ("decode", lambda: from_proto(tensor)),
        ("run", lambda: servable.run(feeds, fetches)),
        ("encode", lambda: to_typed_proto(answer)),
        ("all of it", lambda: predict(servable, REQUEST).SerializeToString()),
        ("and the thread", lambda: servable.submit(lambda: predict(servable, REQUEST)).result()),
    ):
        print(f"{name:15} {microseconds(step):7.1f} us")
    servable.unload()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(port: int, callers: int, pid: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        latencies: list[float] = []

        async def call_many(count: int) -> None:
            for _ in range(count):
                began = time.perf_counter()
                await stub.Predict(REQUEST)
                latencies.append(time.perf_counter() - began)

        await call_many(200)
        latencies.clear()
        began, cpu = time.perf_counter(), cpu_seconds(pid)
        await asyncio.gather(*(call_many(CALLS // callers) for _ in range(callers)))
        rate = len(latencies) / (time.perf_counter() - began)
        cost = (cpu_seconds(pid) - cpu) / len(latencies) * 1e6
        print(
            f"{callers:2} callers: {rate:6.0f} requests/s, p50 {statistics.median(latencies) * 1e3:.2f} ms, "
            f"{cost:.0f} us of the server's processor time each"
        )


def main() -> None:
    folder = conformance()
    if folder is None:
        raise SystemExit("TENSORGATE_CONFORMANCE does not name the folder of the recorded exchanges")
    model = folder / "models/mlp"
    steps(model)
    flags = ("--port=0", "--model_name=mlp", f"--model_base_path={model}")
    with tempfile.TemporaryDirectory() as logs, running(flags, Path(logs) / "log") as client:
        for callers in (1, 16):
            uvloop.run(load(client.ports["grpc_port"], callers, client.process.pid))


if __name__ == "__main__":
    main()
