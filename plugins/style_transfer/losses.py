"""What a picture is judged by: its content, another picture's style, its smoothness (listings 8.17 to 8.20).

Pictures are float32 [N, height, width, 3], 0 to 255; maps are what a network sees of them, those of `STYLE_LAYERS` and
last that of `CONTENT_LAYER` [N, height, width, channels].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

STYLE_LAYERS = tuple(f"block{number}_conv1" for number in range(1, 6))  # the book's, in VGG16 as in VGG19
CONTENT_LAYER = "block5_conv2"
CHANNELS = 3  # of a picture; the book has them in the scale of every layer's style


class Weights(NamedTuple):
    """Of the three losses; the defaults are the book's."""

    content: Any = 0.025
    style: Any = 1.0
    variation: Any = 1e-4

    def in_part(self, share: Any) -> Weights:
        """For a piece of a picture with that share of its pixels, so that it counts as the whole would.

        Content and differences are sums over pixels, style is a mean.
        """
        return self._replace(content=self.content / share, variation=self.variation / share)


class Goal(NamedTuple):
    """What a picture is to come near."""

    content: Any  # the map of the content
    grams: Sequence[Any]  # of the style, float32 [N or 1, channels, channels]


def grams(maps: Sequence[Any], pictures: Any) -> Sequence[Any]:
    """How much the channels of each style layer light up together, by pixel of the picture.

    The book divides by the number of pixels in the loss; here, so that the style's picture may have a size of its own.
    """
    pixels = tf.cast(tf.reduce_prod(tf.shape(pictures)[1:3]), tf.float32)
    return [_gram(tf.cast(one, tf.float32)) / pixels for one in maps[:-1]]


def total_loss(pictures: Any, maps: Sequence[Any], goal: Goal, weights: Weights) -> Any:
    """Float32 [N]: the sum that is to become small (listing 8.20)."""
    content = tf.reduce_sum((tf.cast(maps[-1], tf.float32) - goal.content) ** 2, axis=(1, 2, 3))
    apart = zip(grams(maps, pictures), goal.grams, strict=True)
    style = sum(tf.reduce_sum((gram - wanted) ** 2, axis=(1, 2)) for gram, wanted in apart)
    return (
        weights.content * content
        + weights.style / len(goal.grams) * style / (4 * CHANNELS**2)
        + weights.variation * _variation(pictures)
    )


def _gram(features: Any) -> Any:
    rows = tf.reshape(features, (tf.shape(features)[0], -1, features.shape[-1]))
    return tf.matmul(rows, rows, transpose_a=True)


def _variation(pictures: Any) -> Any:
    """Listing 8.19: how far neighbours are apart."""
    corner = pictures[:, :-1, :-1]
    down, right = corner - pictures[:, 1:, :-1], corner - pictures[:, :-1, 1:]
    return tf.reduce_sum((down**2 + right**2) ** 1.25, axis=(1, 2, 3))
