"""The check: a fresh model server loads the SavedModel and must answer as the model in memory does."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from threading import Thread

import grpc
import numpy as np
from PIL import Image

from services.core.card import Card, InputField, OutputField, SignatureCard
from services.core.errors import FailedPrecondition
from services.core.tensors import Array, from_proto
from services.core.tfs import get_model_metadata_pb2, meta_graph_pb2, predict_pb2, types_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.trainer.release.export import Exported
from services.trainer.release.signatures import Tensors
from services.trainer.release.warmup import predict_request

_VERSION = 1
_START_SECONDS = 120.0
_CALL_SECONDS = 60.0
_LOG_CHARACTERS = 2000
# Two graphs of the same float32 model, fused differently, differ in the last digits; a rounded pixel by one step.
_RELATIVE, _ABSOLUTE, _PIXEL_STEPS = 1e-3, 1e-5, 2


def check(folder: Path, card: Card, exported: Exported) -> None:
    """Serve `folder` from a fresh process and compare answers and metadata with what was exported.

    Raises FailedPrecondition that says what differs.
    """
    limits = [("grpc.max_receive_message_length", -1)]
    with (
        TemporaryDirectory() as base,
        _serving(folder, card.model, Path(base)) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}", limits) as channel,
    ):
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        faults = list(_metadata_faults(service, card)) or list(_answer_faults(service, card, exported))
    if faults:
        raise FailedPrecondition(f"The served model does what the trained one does. Received: {'; '.join(faults)}")


@contextmanager
def _serving(folder: Path, model: str, base: Path) -> Iterator[int]:
    """The gRPC port of a model server of its own that serves `folder` as version 1 of `model`."""
    (base / str(_VERSION)).symlink_to(folder.resolve(), target_is_directory=True)
    log = base / "log"
    flags = [f"--model_name={model}", f"--model_base_path={base}", "--port=0", "--rest_api_port=0"]
    flags.append("--max_num_load_retries=0")  # what does not load now never will
    with log.open("wb") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "services.model_server", *flags], stdout=subprocess.PIPE, stderr=errors
        )
    try:
        yield _port(server, log)
    except grpc.RpcError as error:
        raise FailedPrecondition(
            f"A fresh model server loads and runs the export. Received: {error.code().name}: {error.details()}"
        ) from error
    finally:
        server.kill()  # it keeps nothing
        server.communicate()


def _port(server: subprocess.Popen[bytes], log: Path) -> int:
    lines: Queue[bytes] = Queue(1)
    assert server.stdout is not None
    Thread(target=lambda stdout: lines.put(stdout.readline()), args=(server.stdout,), daemon=True).start()
    try:
        return int(json.loads(lines.get(timeout=_START_SECONDS))["grpc_port"])
    except (Empty, json.JSONDecodeError):
        said = log.read_text(errors="replace").strip().rpartition("\nFailed to start server. ")[-1][-_LOG_CHARACTERS:]
        raise FailedPrecondition(f"A fresh model server loads the export. Received: {said or 'no answer'}") from None


def _metadata_faults(service: prediction_service_pb2_grpc.PredictionServiceStub, card: Card) -> Iterator[str]:
    """Where GetModelMetadata tells other names, dtypes or shapes than the card."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = card.model
    answer = service.GetModelMetadata(request, timeout=_CALL_SECONDS)
    served = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(served)
    for name, signature in card.signatures.items():
        if name not in served.signature_def:
            yield f"signature {name} is not served"
            continue
        definition = served.signature_def[name]
        for what, fields, tensors in (
            ("input", signature.inputs, definition.inputs),
            ("output", signature.outputs, definition.outputs),
        ):
            promised, told = (
                {field.name: _promise(field) for field in fields},
                {n: _told(i) for n, i in tensors.items()},
            )
            if not _agree(promised, told):
                yield f"{what}s of signature {name} are {promised} in the card, {told} in the SavedModel"


_Shaped = tuple[str, tuple[int | None, ...]]


def _promise(field: InputField | OutputField) -> _Shaped:
    return field.dtype, (None, *field.shape)


def _told(info: meta_graph_pb2.TensorInfo) -> _Shaped:
    name = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
    dims = () if info.tensor_shape.unknown_rank else info.tensor_shape.dim
    return {"float": "float32", "double": "float64"}.get(name, name), tuple(
        dim.size if dim.size >= 0 else None for dim in dims
    )


def _agree(promised: Mapping[str, _Shaped], told: Mapping[str, _Shaped]) -> bool:
    """Same names and dtypes, and no size that contradicts; a graph may not know all of its outputs' sizes."""
    return set(promised) == set(told) and all(
        promised[name][0] == dtype and _fits(promised[name][1], shape) for name, (dtype, shape) in told.items()
    )


def _fits(promised: tuple[int | None, ...], told: tuple[int | None, ...]) -> bool:
    if not told:
        return True
    return len(promised) == len(told) and all(b in (None, a) or a is None for a, b in zip(promised, told, strict=True))


def _answer_faults(
    service: prediction_service_pb2_grpc.PredictionServiceStub, card: Card, exported: Exported
) -> Iterator[str]:
    """Where an example's answer differs from the one in memory."""
    for name, signature in card.signatures.items():
        request = predict_request(card.model, name, exported.examples[name])
        answer = service.Predict(request, timeout=_CALL_SECONDS)
        yield from _differences(name, signature, answer, exported.answers[name])


def _differences(
    name: str, signature: SignatureCard, answer: predict_pb2.PredictResponse, expected: Tensors
) -> Iterator[str]:
    for field in signature.outputs:
        served = from_proto(answer.outputs[field.name])
        if not _same(field, served, expected[field.name]):
            yield (
                f"output {field.name} of signature {name} is {_short(served)} when served, "
                f"{_short(expected[field.name])} in memory"
            )


def _same(field: OutputField, served: Array, expected: Array) -> bool:
    if served.shape != expected.shape:
        return False
    if field.content == "image":
        return all(same_picture(a, b) for a, b in zip(served.ravel(), expected.ravel(), strict=True))
    if served.dtype.kind == "f":
        return np.allclose(served, expected, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
    return np.array_equal(served, expected)


def same_picture(served: bytes, expected: bytes) -> bool:
    """Whether two PNGs show the same but for rounding: _PIXEL_STEPS grey levels."""
    if served == expected:
        return True
    one, other = (np.asarray(Image.open(io.BytesIO(encoded)), np.int16) for encoded in (served, expected))
    return one.shape == other.shape and bool(np.abs(one - other).max() <= _PIXEL_STEPS)


def _short(array: Array) -> str:
    return np.array2string(array.ravel()[:8], precision=5, threshold=8)[:200]
