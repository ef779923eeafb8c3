"""Photographs that could have been taken: turned, moved, enlarged, mirrored by chance (book 5.2.5)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from plugins.contract import Array

BATCH = 200  # pictures


def augmentation(seed: int) -> Any:
    """The changes of listing 5.11 as one layer that is active in training only: 0 to 255 [N, height, width, 3] in and
    out.

    Without its shear: the book's tool reads 0.2 as degrees, which moves no pixel.
    """
    nearest = {"fill_mode": "nearest"}
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(40 / 360, seed=seed + 1, **nearest),
            layers.RandomTranslation(0.2, 0.2, seed=seed + 2, **nearest),
            layers.RandomZoom(0.2, seed=seed + 3, **nearest),
        ],
        name="augmentation",
    )


def augmented_copies(pixels: Array, copies: int, seed: int) -> Array:
    """Each of the uint8 pictures [N, height, width, 3] `copies` times in a row, all but the first of them changed."""
    change = augmentation(seed)
    every = np.repeat(pixels, copies, axis=0)
    (others,) = np.nonzero(np.arange(len(every)) % copies)
    for start in range(0, len(others), BATCH):
        batch = others[start : start + BATCH]
        every[batch] = np.rint(change(every[batch], training=True))
    return every
