"""The plane as one picture, and pictures as the encoder sees them, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from plugins.canvas import each, png, tiled
from plugins.digits_vae.model import LATENT, SIDE
from plugins.pictures import decode
from plugins.studio import Studio

LARGEST_SHEET = 30
# The sheet covers the middle nine tenths of the prior in each direction (listing 8.28).
TAIL = 0.05


class Plane(Studio):
    """A studio whose latent points lie on a plane, which can be shown whole."""

    def sheet(self, n: Any) -> Mapping[str, Any]:
        """n x n digits at even steps of the prior's probability: coordinates are normal quantiles (listing 8.28)."""

        def draw(n: Any) -> Any:
            n = tf.clip_by_value(n, 1, LARGEST_SHEET)
            line = tf.math.ndtri(tf.linspace(TAIL, 1 - TAIL, n))
            down, across = tf.meshgrid(line, line, indexing="ij")
            return png(tiled(self.paint(tf.reshape(tf.stack([down, across], axis=-1), [-1, LATENT])), n), 1)

        return {"image_bytes": each(draw, n)}


def read(image_bytes: Any) -> Any:
    """A PNG or JPEG of any size to float32 [28, 28, 1] of 0 to 1, light on dark: a mostly light one is inverted."""
    grey = tf.image.rgb_to_grayscale(decode(image_bytes))
    picture = tf.image.resize(tf.cast(grey, tf.float32) / 255, (SIDE, SIDE), method="area")
    return tf.where(tf.reduce_mean(picture) > 0.5, 1 - picture, picture)
