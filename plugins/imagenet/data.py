"""What a network needs to name a thousand things, and photographs to try it on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, Data, Dataset, Datasets, Samples, Source, Url
from plugins.efficientnet import WEIGHTS
from plugins.imagenet.model import VIEW
from plugins.photographs import CAT, COFFEE, MOUNTAINS, TOWER


def read_labels(file: Path) -> Mapping[str, Array]:
    """A label a line, the first `background`; numbers before them are left out."""
    lines = [re.sub(r"^\d+\s*", "", line) for line in file.read_text().splitlines()]
    return {"text": np.frombuffer("".join(f"{line}\n" for line in lines).encode(), np.uint8)}


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
