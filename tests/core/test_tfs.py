"""TensorFlow Serving's messages without TensorFlow."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from services.core.tfs import predict_pb2, types_pb2
assert "tensorflow" not in sys.modules
request = predict_pb2.PredictRequest()
request.inputs["x"].dtype = types_pb2.DT_FLOAT
"""
AND_THEN_TENSORFLOW = """
import tensorflow as tf
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0]))
assert tf.make_ndarray(request.inputs["x"]).tolist() == [1.0]
"""


def test_the_messages_are_loaded_without_tensorflow() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)


def test_tensorflow_can_still_be_imported_afterwards() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM + AND_THEN_TENSORFLOW], check=True, timeout=120)
