"""Warm-up: the requests a SavedModel brings along are run before it is called AVAILABLE.

The file is a TFRecord of `PredictionLog`, at most 1000 (tensorflow_serving/servables/tensorflow/saved_model_warmup.cc).
A record that fails, fails the load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from services.core.card import WARMUP_PATH
from services.core.errors import DataLoss, InvalidArgument, Unimplemented
from services.core.tfs import prediction_log_pb2
from services.model_server.inference import classify, multi_inference, regress
from services.model_server.predict import predict
from services.model_server.servable import Servable

MAX_RECORDS = 1000


def warm_up(servable: Servable, folder: Path, read_records: Callable[[Path], Iterable[bytes]]) -> int:
    """Replay the version's warm-up file, if it has one, and return the number of records. Raises TensorgateError."""
    file = folder / WARMUP_PATH
    if not file.is_file():
        return 0
    count = 0
    for record in _records(file, read_records):
        if count == MAX_RECORDS:
            raise InvalidArgument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}")
        _replay(servable, _parse(record, file))
        count += 1
    return count


def _records(file: Path, read_records: Callable[[Path], Iterable[bytes]]) -> Iterator[bytes]:
    try:
        yield from read_records(file)
    except DataLoss as error:
        raise DataLoss(f"{error.message}. Please verify your warmup data is in TFRecord format.") from error


def _parse(record: bytes, file: Path) -> prediction_log_pb2.PredictionLog:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        text = record.decode(errors="replace")
        raise InvalidArgument(f"Failed to parse warmup record: {text} from {file}") from error


def _replay(servable: Servable, log: prediction_log_pb2.PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict(servable, log.predict_log.request)
    elif kind == "classify_log":
        classify(servable, log.classify_log.request, check_method=False)
    elif kind == "regress_log":
        regress(servable, log.regress_log.request, check_method=False)
    elif kind == "multi_inference_log":
        multi_inference(servable, log.multi_inference_log.request, check_method=False)
    elif kind is not None:
        raise Unimplemented(f"Unsupported log_type for warmup: {kind}")
