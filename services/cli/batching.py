"""`tensorgate tune-batching`: measure a model server with growing batches; write TensorFlow Serving's parameters."""

from __future__ import annotations

import statistics
import struct
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import grpc
import numpy as np
import typer

from services.cli.batch_sizes import Measured, batch_rows, batching
from services.cli.console import print_rows
from services.cli.models import named_version
from services.cli.settings import CliSettings
from services.core.card import WARMUP_PATH
from services.core.errors import Code, InvalidArgument, error_of
from services.core.refs import ModelRef, parse_ref
from services.core.tensors import from_proto, to_proto
from services.core.tfs import predict_pb2, prediction_log_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.store import Store, open_store

_FEWEST_CALLS = 3
_CALL_SECONDS = 60.0
_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)


def tune_batching(
    model: Annotated[str, typer.Argument(help="mnist, mnist/3 (a version) or mnist@canary (a label).")],
    model_server: Annotated[str, typer.Option(help="host:port of the model server's gRPC.")] = "127.0.0.1:8500",
    out: Annotated[Path | None, typer.Option(help="Write the parameters to this file.")] = None,
    signature: Annotated[str, typer.Option(help="Which to call; none: the first of the version's warm-up.")] = "",
    most_rows: Annotated[int, typer.Option(min=1, help="The largest batch that is tried.")] = 256,
    most_ms: Annotated[float, typer.Option(min=0.001, help="Longest that a call may take.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long each size is called.")] = 1.0,
) -> None:
    """Find the batches that suit a model on its server, by calls with the rows it warms up with.

    tensorgate tune-batching mnist --model-server 127.0.0.1:8500 --out batching.config
    """
    store, ref = open_store(CliSettings().store_url), parse_ref(model)
    version = named_version(store, ref)
    example = _example(store, ModelRef(ref.name, version), signature)
    with grpc.insecure_channel(model_server, options=_CHANNEL_OPTIONS) as channel:
        measure = _Measure(prediction_service_pb2_grpc.PredictionServiceStub(channel), example, seconds)
        alone = [measure(rows, at_once=1) for rows in _doubling(most_rows)]
        rows = batch_rows(alone, most_ms / 1000)
        together = [measure(rows, at_once=at_once) for at_once in _doubling(16)]
    found = batching(alone, together, most_ms / 1000)
    print_rows([_shown(one) for one in (*alone, *together[1:])], "nothing was measured")
    print(f"\n{found.text()}\nTENSORGATE_GATEWAY_BATCH_ROWS={found.rows}")
    if out is not None:
        out.write_text(f"# {ref.name}/{version}, by `tensorgate tune-batching`.\n{found.text()}")


def _doubling(most: int) -> Sequence[int]:
    return [2**power for power in range(most.bit_length())]


def _shown(one: Measured) -> dict[str, str]:
    return {
        "rows": str(one.rows),
        "calls at once": str(one.at_once),
        "ms a call": f"{1000 * one.seconds:.2f}",
        "rows a second": f"{one.rows_a_second:,.0f}",
    }


def _example(store: Store, ref: ModelRef, signature: str) -> predict_pb2.PredictRequest:
    """The first request that the version warms up with. Raises InvalidArgument where it has none of that signature."""
    assert ref.version is not None
    files = {entry.path: entry for entry in store.manifest(ref.name, ref.version).files}
    requests = []
    if (entry := files.get(str(WARMUP_PATH))) is not None:
        with TemporaryDirectory() as folder:
            store.fetch_file(ref.name, ref.version, entry, Path(folder) / "warmup")
            requests = _requests((Path(folder) / "warmup").read_bytes())
    for request in requests:
        if request.model_spec.signature_name == signature or not signature:
            request.model_spec.name = ref.name
            request.model_spec.version.value = ref.version
            return request
    names = [request.model_spec.signature_name for request in requests]
    raise InvalidArgument(f"{ref.name}/{ref.version} warms up {names or 'nothing'}. Received: signature {signature!r}")


def _requests(records: bytes) -> list[predict_pb2.PredictRequest]:
    """The Predict requests of a TFRecord file, whose hash the store has checked.

    A record is its length, four bytes of checksum, the data, and four more.
    """
    requests, at = [], 0
    while at < len(records):
        (length,) = struct.unpack_from("<Q", records, at)
        log = prediction_log_pb2.PredictionLog.FromString(records[at + 12 : at + 12 + length])
        if log.HasField("predict_log"):
            requests.append(log.predict_log.request)
        at += 16 + length
    return requests


class _Measure:
    """Calls one model over and over."""

    def __init__(
        self,
        stub: prediction_service_pb2_grpc.PredictionServiceStub,
        example: predict_pb2.PredictRequest,
        seconds: float,
    ) -> None:
        self._stub = stub
        self._example = example
        self._seconds = seconds

    def __call__(self, rows: int, at_once: int) -> Measured:
        request = _repeated(self._example, rows)
        self._call(request)  # the first of a shape is slower: memory, and on a GPU kernels are chosen
        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            took = [one for each in pool.map(lambda _: self._calls(request), range(at_once)) for one in each]
        whole = time.perf_counter() - began
        return Measured(rows, at_once, statistics.median(took), rows * len(took) / whole)

    def _calls(self, request: predict_pb2.PredictRequest) -> list[float]:
        took: list[float] = []
        while len(took) < _FEWEST_CALLS or sum(took) < self._seconds:
            began = time.perf_counter()
            self._call(request)
            took.append(time.perf_counter() - began)
        return took

    def _call(self, request: predict_pb2.PredictRequest) -> None:
        try:
            self._stub.Predict(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            raise error_of(Code[error.code().name], f"The model server: {error.details()}") from None


def _repeated(example: predict_pb2.PredictRequest, rows: int) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.CopyFrom(example.model_spec)
    for name, tensor in example.inputs.items():
        request.inputs[name].CopyFrom(to_proto(np.repeat(from_proto(tensor)[:1], rows, axis=0)))
    return request
