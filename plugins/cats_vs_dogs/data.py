"""4,000 photographs of cats and dogs, and the weights of a network that has seen 1.4 million of other things."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow as tf

from plugins.cats_vs_dogs.augmentation import augmented_copies
from plugins.cats_vs_dogs.model import VIEW, CatsConfig
from plugins.contract import Array, Data, Dataset, Datasets, Samples
from plugins.vgg16 import VGG16

LABELS = ("cat", "dog")
VALIDATION = 1000  # the book's validation split


def read_tar(file: Path) -> Mapping[str, Array]:
    """The JPEG files below <split>/<cats or dogs>/, in the order of their names.

    For each `train_cat` and so on: their bytes one after another, uint8, and as `train_cat_ends` where each ends.
    """
    files: dict[str, list[tuple[str, bytes]]] = {}
    with tarfile.open(file) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith(".jpg") else None
            if content is not None:
                split, kind, name = PurePosixPath(member.name).parts[-3:]
                files.setdefault(f"{split}_{kind.removesuffix('s')}", []).append((name, content.read()))
    arrays: dict[str, Array] = {}
    for name, named in files.items():
        contents = [content for _, content in sorted(named)]
        arrays[name] = np.frombuffer(b"".join(contents), np.uint8)
        arrays[f"{name}_ends"] = np.cumsum([len(content) for content in contents])
    return arrays


PHOTOGRAPHS = Dataset(
    file="cats_and_dogs_small_150.tar",
    sha256="e9305ebe84e2854f153850dec1d17adc657f4e3d9241c88d536f4e3afad32f8c",
    read=read_tar,
    sources=(),  # the full archive needs an account and is of other sizes: by hand or from a mirror only
)


def load(config: CatsConfig, datasets: Datasets) -> Data:
    """The book's split: 2,000 photographs to learn from, then 1,000 to validate on, as uint8 [N, 150, 150, 3]; 1,000
    JPEG files to be judged on. Cats, 0, and dogs, 1, take turns.

    Each of the 2,000 stands there `copies` times in a row: as it is, and changed by chance.
    """
    arrays = datasets.fetch(PHOTOGRAPHS)
    learned, validated, tested = (_jpegs(arrays, split) for split in ("train", "validation", "test"))
    seen = augmented_copies(_pixels(learned), config.copies, config.seed)
    targets = np.concatenate([np.repeat(_turns(learned), config.copies), _turns(validated)])
    return Data(
        train=Samples(np.concatenate([seen, _pixels(validated)]), targets, assets=datasets.fetch(VGG16)),
        test=Samples(tested, _turns(tested), read=VIEW.read),
    )


def _jpegs(arrays: Mapping[str, Array], split: str) -> Array:
    """The split's files, bytes [N]: a cat, a dog, a cat, ..."""
    cats, dogs = (_files(arrays[f"{split}_{kind}"], arrays[f"{split}_{kind}_ends"]) for kind in LABELS)
    return np.array([file for pair in zip(cats, dogs, strict=True) for file in pair], object)


def _files(content: Array, ends: Array) -> list[bytes]:
    return [part.tobytes() for part in np.split(content, ends[:-1])]


def _turns(files: Array) -> Array:
    return (np.arange(len(files)) % len(LABELS)).astype(np.uint8)


def _pixels(files: Array) -> Array:
    return tf.function(VIEW.read)(tf.constant(files)).numpy().astype(np.uint8)
