"""Latent points to frogs, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from plugins.canvas import each, films, latent_point, png, sheets
from plugins.cifar10_files import SIDE
from plugins.frogs_gan.model import LATENT, unscaled

FROG = (SIDE, SIDE, 3)
LEAST_ANGLE = 1e-3  # between two points, so that a frog can be turned into itself


class Studio:
    """The functions behind the signatures; every argument has one row a request."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def generate(self, seed: Any, scale: Any) -> Mapping[str, Any]:
        """The frog at a point drawn from a normal distribution: the same point for the same seed."""
        return {"image_bytes": each(lambda seed, scale: self._draw(latent_point(seed, LATENT), scale), seed, scale)}

    def decode(self, latent: Any, scale: Any) -> Mapping[str, Any]:
        """The frog at a latent point."""
        return {"image_bytes": each(self._draw, latent, scale)}

    def sheet(self, seed: Any, n: Any) -> Mapping[str, Any]:
        """n x n frogs row by row, those of `seed`, `seed` + 1 and so on."""
        return {"image_bytes": sheets(lambda seed: self._paint(latent_point(seed, LATENT)), FROG)(seed, n)}

    def interpolate(self, from_seed: Any, to_seed: Any, steps: Any, scale: Any) -> Mapping[str, Any]:
        """Frames from one seed's frog to another's, ends included; after a row's last one, empty strings."""

        def film(steps: Any, start: Any, end: Any, scale: Any) -> Any:
            points = arc(latent_point(start, LATENT), latent_point(end, LATENT), steps)
            return each(lambda point: self._draw(point, scale), points)

        return {"image_bytes": films(film, steps, from_seed, to_seed, scale)}

    def _draw(self, point: Any, scale: Any) -> Any:
        return png(self._paint(point), scale)

    def _paint(self, point: Any) -> Any:
        """A frog, uint8 [32, 32, 3]."""
        return unscaled(self.model.generator(point[tf.newaxis], training=False)[0])


def arc(start: Any, end: Any, steps: Any) -> Any:
    """Points [steps, K] from one to the other as on a sphere (White 2016, arXiv:1609.04468).

    A straight line's middle lies nearer to 0 than nearly all points that a generator was trained on.
    """
    cosine = tf.tensordot(start / tf.norm(start), end / tf.norm(end), 1)
    angle = tf.maximum(tf.acos(tf.clip_by_value(cosine, -1.0, 1.0)), LEAST_ANGLE)
    way = tf.linspace(0.0, 1.0, steps)[:, tf.newaxis]
    return (tf.sin((1 - way) * angle) * start + tf.sin(way * angle) * end) / tf.sin(angle)
