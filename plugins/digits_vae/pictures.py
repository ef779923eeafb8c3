"""Latent points to PNG and pictures to latent points, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from plugins.canvas import each, films, latent_point, png, tiled
from plugins.digits_vae.model import LATENT, SIDE, VariationalAutoencoder
from plugins.pictures import decode

LARGEST_SHEET = 30
# The sheet covers the middle nine tenths of the prior in each direction (listing 8.28).
TAIL = 0.05


class Studio:
    """The functions behind the signatures; every argument has one row a request."""

    def __init__(self, model: VariationalAutoencoder) -> None:
        self.model = model

    def generate(self, seed: Any, scale: Any) -> Mapping[str, Any]:
        """The digit at a point drawn from the prior: the same point for the same seed."""
        return {"image_bytes": each(lambda seed, scale: self._draw(latent_point(seed, LATENT), scale), seed, scale)}

    def decode(self, latent: Any, scale: Any) -> Mapping[str, Any]:
        """The digit at a latent point."""
        return {"image_bytes": each(self._draw, latent, scale)}

    def sheet(self, n: Any) -> Mapping[str, Any]:
        """n x n digits at even steps of the prior's probability: coordinates are normal quantiles (listing 8.28)."""

        def draw(n: Any) -> Any:
            n = tf.clip_by_value(n, 1, LARGEST_SHEET)
            line = tf.math.ndtri(tf.linspace(TAIL, 1 - TAIL, n))
            down, across = tf.meshgrid(line, line, indexing="ij")
            return png(tiled(self._paint(tf.reshape(tf.stack([down, across], axis=-1), [-1, LATENT])), n), 1)

        return {"image_bytes": each(draw, n)}

    def interpolate(self, from_latent: Any, to_latent: Any, steps: Any, scale: Any) -> Mapping[str, Any]:
        """Frames on a straight line, ends included, string [N, most steps]; after a row's last one, empty strings."""

        def film(steps: Any, start: Any, end: Any, scale: Any) -> Any:
            return each(lambda point: self._draw(point, scale), tf.linspace(start, end, steps))

        return {"image_bytes": films(film, steps, from_latent, to_latent, scale)}

    def encode(self, image_bytes: Any) -> Mapping[str, Any]:
        """Where a picture of a digit lies: mean and log-variance of its latent point."""
        images = tf.map_fn(_read, image_bytes, fn_output_signature=tf.TensorSpec([SIDE, SIDE], tf.float32))
        z_mean, z_log_var = self.model.encoder(images[..., tf.newaxis])
        return {"z_mean": z_mean, "z_log_var": z_log_var}

    def _draw(self, point: Any, scale: Any) -> Any:
        return png(self._paint(point[tf.newaxis])[0], scale)

    def _paint(self, points: Any) -> Any:
        """Grey levels uint8 [N, 28, 28, 1] of latent points [N, 2]."""
        return tf.cast(tf.round(self.model.decoder(points) * 255), tf.uint8)


def _read(image_bytes: Any) -> Any:
    """A PNG or JPEG of any size to float32 [28, 28] of 0 to 1, light on dark: a mostly light picture is inverted."""
    grey = tf.image.rgb_to_grayscale(decode(image_bytes))
    picture = tf.image.resize(tf.cast(grey, tf.float32) / 255, (SIDE, SIDE), method="area")[..., 0]
    return tf.where(tf.reduce_mean(picture) > 0.5, 1 - picture, picture)
