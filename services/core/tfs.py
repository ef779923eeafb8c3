"""TensorFlow Serving's messages, loaded without TensorFlow.

`import tensorflow_serving.apis` runs `tensorflow/__init__.py`: seconds and 570 MB for a few protobuf files. Here the
packages are looked up but not run: for the length of this import, empty modules whose `__path__` is the installed tree
stand in for them, so only the `*_pb2` modules are executed. They are taken away again afterwards, so a process that
wants TensorFlow itself can still import it.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGES = ("tensorflow", "tensorflow_serving")


def stand_in(name: str) -> None:
    """Put an empty module in the place of an installed package: its modules can be imported, its `__init__` is not run.

    Raises ModuleNotFoundError.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{name} is not installed, not even its *_pb2 tree", name=name)
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module


@contextmanager
def packages_not_run() -> Iterator[None]:
    """While it lasts, modules of these packages are imported alone."""
    if "tensorflow" in sys.modules:  # already paid for: use it
        yield
        return
    for name in _PACKAGES:
        stand_in(name)
    try:
        yield
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] in _PACKAGES]:
            if hasattr(sys.modules[name], "__path__"):
                del sys.modules[name]


with packages_not_run():
    from tensorflow.core.example import example_pb2, feature_pb2
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        predict_pb2,
        prediction_log_pb2,
        regression_pb2,
        status_pb2,
    )
    from tensorflow_serving.config import file_system_storage_path_source_pb2, model_server_config_pb2

__all__ = [
    "classification_pb2",
    "example_pb2",
    "feature_pb2",
    "file_system_storage_path_source_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "inference_pb2",
    "input_pb2",
    "meta_graph_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "predict_pb2",
    "prediction_log_pb2",
    "regression_pb2",
    "saved_model_pb2",
    "status_pb2",
    "tensor_pb2",
    "tensor_shape_pb2",
    "types_pb2",
]
