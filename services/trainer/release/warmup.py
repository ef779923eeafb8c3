"""The requests a SavedModel brings along, so that a server has run every signature before the first client comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from services.core.card import WARMUP_PATH
from services.core.tensors import Array, to_proto
from services.core.tfs import predict_pb2, prediction_log_pb2

_ROWS = (1, 8)  # a single request and a batch: kernels are chosen by size


def predict_request(model: str, signature: str, inputs: Mapping[str, Array]) -> predict_pb2.PredictRequest:
    """TensorFlow Serving's request for one signature; inputs are batched on axis 0."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array))
    return request


def write_warmup(folder: Path, model: str, examples: Mapping[str, Mapping[str, Array]]) -> None:
    """Write the file, a TFRecord of PredictionLog: each signature's example (one row) as one row and as eight."""
    path = folder / WARMUP_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in _requests(model, examples):
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())


def _requests(model: str, examples: Mapping[str, Mapping[str, Array]]) -> Iterator[predict_pb2.PredictRequest]:
    for signature, example in examples.items():
        for rows in _ROWS:
            yield predict_request(
                model, signature, {name: np.repeat(array, rows, axis=0) for name, array in example.items()}
            )
