"""What the plugins' tests share: real data, and an exported model, called as TensorFlow Serving calls it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from plugins.contract import Array, Dataset, Plugin


class Folder:
    """Datasets from a folder, unverified, each read once; what needs a file that is not there skips."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Any, Mapping[str, Array]] = {}

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        file = self.folder / dataset.file
        if not file.is_file():
            pytest.skip(f"TENSORGATE_DATASETS names no folder with {dataset.file}")
        key = dataset.file, dataset.read  # plugins read the same file each in its way
        if key not in self._read:
            self._read[key] = dataset.read(file)
        return self._read[key]


@pytest.fixture(scope="session")
def mirror() -> Folder:
    """The real data, where TENSORGATE_DATASETS names a folder of them."""
    return Folder(Path(os.environ.get("TENSORGATE_DATASETS", "")))


Endpoint = Callable[..., Mapping[str, Array]]
Serve = Callable[..., Mapping[str, Endpoint]]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Export a plugin's model and load it through a graph session; a signature is a function of named arrays.

    Names of signatures may follow: only those are exported, which is quicker.
    """

    import keras  # here, because pytest's own process reads this file, and waits for TensorFlow in vain
    import tensorflow as tf

    def export_and_load(plugin: Plugin[Any], model: Any, *only: str) -> Mapping[str, Endpoint]:
        folder = str(tmp_path_factory.mktemp(plugin.name))
        archive = keras.export.ExportArchive()
        archive.track(model)
        signatures = {name: one for name, one in plugin.signatures(model).items() if not only or name in only}
        for name, signature in signatures.items():
            specs = [tf.TensorSpec([None, *field.shape], field.dtype, name=field.name) for field in signature.inputs]
            archive.add_endpoint(name, signature.function, specs)
        archive.write_out(folder, verbose=False)
        with tf.Graph().as_default() as graph:
            session = tf.compat.v1.Session(graph=graph)
            loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def
        return {name: _endpoint(session, loaded[name]) for name in signatures}

    return export_and_load


def _endpoint(session: Any, definition: Any) -> Endpoint:
    outputs = {name: tensor.name for name, tensor in definition.outputs.items()}
    return lambda **fields: session.run(outputs, {definition.inputs[name].name: fields[name] for name in fields})
