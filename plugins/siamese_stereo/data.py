"""Stereo pairs made from photographs: what two cameras side by side would see of a flat scene at a known distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from plugins.contract import Array, Data, Datasets, Samples
from plugins.photographs import ASTRONAUT, CAT, COFFEE, FLOWER, HUBBLE, ROCKET, TOWER

SIDE = 64  # pixels
FOCAL_LENGTH = 64.0  # pixels: a picture of 64 shows 53 degrees
BASE_LINE = 0.06  # metres between the cameras, as between eyes
NEAREST, FARTHEST = 16, 1  # disparities in pixels
SCALES = (2, 3, 4)  # pixels of the photograph to one of ours
TRAIN_PAIRS, VALIDATION_PAIRS, TEST_PAIRS = 2000, 300, 1000
LEAST_TEXTURE = 2.0  # grey levels from pixel to pixel: in a blank wall nobody sees depth
BRIGHTNESS, NOISE = 0.2, 2.0  # the right camera's share of difference; both cameras' deviation in grey levels


def depth_of(disparity: Array) -> Array:
    """Metres: focal length x base line / disparity (Hartley and Zisserman, Multiple View Geometry, 9.1)."""
    return FOCAL_LENGTH * BASE_LINE / disparity


TRAIN_PHOTOS = (ASTRONAUT, COFFEE, ROCKET, HUBBLE)
VALIDATION_PHOTOS = (CAT,)
TEST_PHOTOS = (TOWER, FLOWER)


def load(datasets: Datasets) -> Data:
    """`left` and `right` uint8 [N, 64, 64, 3] with metres float32 [N].

    Pairs to train on, to validate on (the last 300 of `train`) and to be judged on are made from different photographs.
    """
    parts = ((TRAIN_PHOTOS, TRAIN_PAIRS), (VALIDATION_PHOTOS, VALIDATION_PAIRS), (TEST_PHOTOS, TEST_PAIRS))
    train, validation, test = (
        samples_of([_decoded(datasets.fetch(photo)["bytes"]) for photo in photos], count, seed)
        for seed, (photos, count) in enumerate(parts, 1)
    )
    joined = {side: np.concatenate([train.inputs[side], validation.inputs[side]]) for side in train.inputs}
    return Data(Samples(joined, np.concatenate([train.targets, validation.targets])), test)


def _decoded(file: Array) -> Array:
    with Image.open(BytesIO(file.tobytes())) as picture:
        return np.asarray(picture.convert("RGB"))


@dataclass(frozen=True)
class Pair:
    """What the two cameras see, uint8 [64, 64, 3] each; a thing is `disparity` pixels further left in the right one."""

    left: Array
    right: Array
    disparity: float


def samples_of(photos: Sequence[Array], count: int, seed: int) -> Samples:
    """So many pairs from these photographs, uint8 [height, width, 3] each."""
    drawn = _pairs(photos, np.random.default_rng(seed))
    pairs = [next(drawn) for _ in range(count)]
    depths = depth_of(np.array([pair.disparity for pair in pairs])).astype(np.float32)
    return Samples({side: np.stack([getattr(pair, side) for pair in pairs]) for side in ("left", "right")}, depths)


def _pairs(photos: Sequence[Array], random: np.random.Generator) -> Iterator[Pair]:
    while True:
        photo = photos[int(random.integers(len(photos)))]
        scale = int(random.choice(SCALES))
        shift = int(random.integers(scale * FARTHEST, scale * NEAREST + 1))
        top = int(random.integers(photo.shape[0] - scale * SIDE + 1))
        start = int(random.integers(photo.shape[1] - scale * SIDE - shift + 1))
        left, right = (_seen(photo[top:, column:], scale) for column in (start, start + shift))
        if np.abs(np.diff(left, axis=1)).mean() >= LEAST_TEXTURE:
            gain = np.float32(1 + random.uniform(-BRIGHTNESS, BRIGHTNESS))
            yield Pair(_taken(left, random), _taken(gain * right, random), shift / scale)


def _seen(photo: Array, scale: int) -> Array:
    """The corner of a photograph, each `scale` x `scale` pixels averaged."""
    corner = photo[: scale * SIDE, : scale * SIDE]
    total = np.zeros((SIDE, SIDE, 3), np.float32)
    for row in range(scale):
        for column in range(scale):
            total += corner[row::scale, column::scale]
    return total / scale**2


def _taken(levels: Array, random: np.random.Generator) -> Array:
    noisy = levels + np.float32(NOISE) * random.standard_normal(levels.shape, np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
