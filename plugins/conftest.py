"""What the plugins' tests share: an exported model, called as TensorFlow Serving calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import pytest
import tensorflow as tf

from plugins.contract import Array, Plugin

Endpoint = Callable[..., Mapping[str, Array]]
Serve = Callable[[Plugin[Any], Any], Mapping[str, Endpoint]]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Export a plugin's model and load it through a graph session; a signature is a function of named arrays."""

    def export_and_load(plugin: Plugin[Any], model: Any) -> Mapping[str, Endpoint]:
        folder = str(tmp_path_factory.mktemp(plugin.name))
        archive = keras.export.ExportArchive()
        archive.track(model)
        for name, signature in plugin.signatures(model).items():
            specs = [tf.TensorSpec([None, *field.shape], field.dtype, name=field.name) for field in signature.inputs]
            archive.add_endpoint(name, signature.function, specs)
        archive.write_out(folder, verbose=False)
        with tf.Graph().as_default() as graph:
            session = tf.compat.v1.Session(graph=graph)
            loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def
        return {name: _endpoint(session, loaded[name]) for name in plugin.signatures(model)}

    return export_and_load


def _endpoint(session: Any, definition: Any) -> Endpoint:
    outputs = {name: tensor.name for name, tensor in definition.outputs.items()}
    return lambda **fields: session.run(outputs, {definition.inputs[name].name: fields[name] for name in fields})
