"""Small grey faces, each smiling or not: drawn, or one's own, as no public file of photographs may be passed on."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, Data, Dataset, Datasets, InvalidArgument, Samples, Unavailable
from plugins.faces_vae.drawings import COUNT, draw
from plugins.own_files import own_file

SIDE = 32
DRAWN = "drawn"  # in place of a file
TEST_SHARE = 0.15


def read_npz(file: Path) -> Mapping[str, Array]:
    """`x` uint8 [N, 32, 32], light on dark, and `y` [N]: 1 for a smile, 0 for none. Raises InvalidArgument."""
    arrays = _arrays(file)
    if not {"x", "y"} <= arrays.keys():
        raise InvalidArgument(f"A file of faces has the arrays x and y. Received: {', '.join(arrays) or 'none'}")
    x, y = arrays["x"], arrays["y"]
    if x.dtype != np.uint8 or x.shape[1:] != (SIDE, SIDE) or y.shape != x.shape[:1]:
        raise InvalidArgument(
            f"Faces are x, uint8 [N, {SIDE}, {SIDE}], and y, [N]. Received: x {x.dtype} {x.shape}, y {y.shape}"
        )
    if set(np.unique(y).tolist()) != {0, 1}:
        raise InvalidArgument(f"y is 1 for a smile and 0 for none, and has both. Received: {np.unique(y)[:5]}")
    return {"x": x, "y": y.astype(np.int32)}


# A byte that flipped may be one of the archive's, of an array's header, of what is packed, or say how it was packed.
_DAMAGED = (zipfile.BadZipFile, ValueError, EOFError, OSError, zlib.error, NotImplementedError)


def _arrays(file: Path) -> Mapping[str, Array]:
    rule = f"Faces are in a .npz file of NumPy's. Received: {file.name}"
    if not zipfile.is_zipfile(file):
        raise InvalidArgument(f"{rule}, which is no archive")
    try:
        with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.keys() & {"x", "y"}}
    except _DAMAGED as error:
        raise InvalidArgument(f"{rule}: {error}") from None


FACES = Dataset(
    file="smiles_32_2000x2.npz",
    sha256="8d16d2bf83ae96543e35e6b91a9172d57af5b228b86dae0d177721aaf97f5577",
    read=read_npz,
    sources=(),  # portraits of people: from a mirror, or a person's own
)


def load(own: str | None, datasets: Datasets) -> Data:
    """Faces uint8 [N, 32, 32] with targets 1 (smiling) and 0, mixed; the last 15 % are the test. Raises Unavailable."""
    arrays = draw(COUNT, seed=0) if own == DRAWN else _photographs(own, datasets)
    order = np.random.default_rng(0).permutation(len(arrays["x"]))  # a file may be in order of smiles
    train, test = np.split(order, [round(len(order) * (1 - TEST_SHARE))])
    return Data(*(Samples(arrays["x"][rows], arrays["y"][rows]) for rows in (train, test)))


def _photographs(own: str | None, datasets: Datasets) -> Mapping[str, Array]:
    if own:
        return datasets.fetch(own_file(own, read_npz, ".npz"))
    try:
        return datasets.fetch(FACES)
    except Unavailable as absent:
        raise Unavailable(
            "Photographs of faces are a person's own: bring a .npz file of x, uint8 [N, 32, 32], and y, 1 for a smile, "
            "such as one made from CelebA (plugins/faces_vae/README.md), with --set faces=PATH, or take drawn ones "
            f"with --variant drawn. {absent.message}"
        ) from absent
