"""Latent points to PNG and pictures to latent points, in the graph.

Every row is drawn by itself: convolutions differ in their last bits with the number of rows, and decoding 64 at a time
changed a grey level in 3 of 2,000 digits. So rows also take their own `scale`, `n` and `steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from plugins.digits_vae.model import LATENT, SIDE, VariationalAutoencoder
from plugins.pictures import decode

LARGEST_SCALE = 16
LARGEST_SHEET = 30
MOST_STEPS = 100
# The sheet covers the middle nine tenths of the prior in each direction (listing 8.28).
TAIL = 0.05


class Studio:
    """The functions behind the signatures; every argument has one row a request."""

    def __init__(self, model: VariationalAutoencoder) -> None:
        self.model = model

    def generate(self, seed: Any, scale: Any) -> Mapping[str, Any]:
        """The digit at a point drawn from the prior: the same point for the same seed."""

        def draw(seed: Any, scale: Any) -> Any:
            point = tf.random.stateless_normal([1, LATENT], seed=tf.stack([seed, tf.zeros_like(seed)]))
            return _png(self._paint(point)[0], scale)

        return {"image_bytes": _each(draw, seed, scale)}

    def decode(self, latent: Any, scale: Any) -> Mapping[str, Any]:
        """The digit at a latent point."""
        return {
            "image_bytes": _each(lambda point, scale: _png(self._paint(point[tf.newaxis])[0], scale), latent, scale)
        }

    def sheet(self, n: Any) -> Mapping[str, Any]:
        """n x n digits at even steps of the prior's probability: coordinates are normal quantiles (listing 8.28)."""

        def draw(n: Any) -> Any:
            n = tf.clip_by_value(n, 1, LARGEST_SHEET)
            line = tf.math.ndtri(tf.linspace(TAIL, 1 - TAIL, n))
            down, across = tf.meshgrid(line, line, indexing="ij")
            digits = self._paint(tf.reshape(tf.stack([down, across], axis=-1), [-1, LATENT]))
            rows = tf.transpose(tf.reshape(digits, [n, n, SIDE, SIDE]), [0, 2, 1, 3])
            return _png(tf.reshape(rows, [n * SIDE, n * SIDE]), 1)

        return {"image_bytes": _each(draw, n)}

    def interpolate(self, from_latent: Any, to_latent: Any, steps: Any, scale: Any) -> Mapping[str, Any]:
        """Frames on a straight line, ends included, string [N, most steps]; after a row's last one, empty strings."""
        steps = tf.clip_by_value(steps, 1, MOST_STEPS)
        longest = tf.reduce_max(tf.concat([[1], steps], axis=0))

        def draw(start: Any, end: Any, steps: Any, scale: Any) -> Any:
            points = tf.linspace(start, end, steps)
            frames = _each(lambda point: _png(self._paint(point[tf.newaxis])[0], scale), points)
            return tf.pad(frames, [[0, longest - steps]])

        return {"image_bytes": _each(draw, from_latent, to_latent, steps, scale)}

    def encode(self, image_bytes: Any) -> Mapping[str, Any]:
        """Where a picture of a digit lies: mean and log-variance of its latent point."""
        images = tf.map_fn(_read, image_bytes, fn_output_signature=tf.TensorSpec([SIDE, SIDE], tf.float32))
        z_mean, z_log_var = self.model.encoder(images[..., tf.newaxis])
        return {"z_mean": z_mean, "z_log_var": z_log_var}

    def _paint(self, points: Any) -> Any:
        """Grey levels uint8 [N, 28, 28] of latent points [N, 2]."""
        return tf.cast(tf.round(self.model.decoder(points)[..., 0] * 255), tf.uint8)


def _each(draw: Callable[..., Any], *rows: Any) -> Any:
    """`draw` once a row; it returns strings, one or a row of them."""
    return tf.map_fn(lambda row: draw(*row), rows, fn_output_signature=tf.string)


def _png(picture: Any, scale: Any) -> Any:
    """uint8 [height, width] to PNG, every pixel `scale` x `scale`."""
    scale = tf.clip_by_value(scale, 1, LARGEST_SCALE)
    larger = tf.repeat(tf.repeat(picture, scale, axis=0), scale, axis=1)
    return tf.io.encode_png(larger[..., tf.newaxis])


def _read(image_bytes: Any) -> Any:
    """A PNG or JPEG of any size to float32 [28, 28] of 0 to 1, light on dark: a mostly light picture is inverted."""
    grey = tf.image.rgb_to_grayscale(decode(image_bytes))
    picture = tf.image.resize(tf.cast(grey, tf.float32) / 255, (SIDE, SIDE), method="area")[..., 0]
    return tf.where(tf.reduce_mean(picture) > 0.5, 1 - picture, picture)
