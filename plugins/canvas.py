"""What a network draws, as PNG, for every plugin whose requests are seeds and latent points; in the graph.

Every row is drawn by itself: convolutions differ in their last bits with the number of rows, and decoding 64 digits at
a time changed a grey level in 3 of 2,000. So rows also take their own scale, size and steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from plugins.contract import InputField, OutputField

LARGEST_SCALE = 16
MOST_STEPS = 100
LARGEST_SHEET = 10  # pictures a side

SEED = InputField(name="seed", dtype="int64", description="same seed, same picture", default=0)
SCALE = InputField(
    name="scale",
    dtype="int32",
    description="screen pixels a side for each that is drawn",
    default=1,
    minimum=1,
    maximum=LARGEST_SCALE,
)
STEPS = InputField(
    name="steps", dtype="int32", description="frames, ends included", default=10, minimum=1, maximum=MOST_STEPS
)
PICTURE = OutputField(name="image_bytes", dtype="string", content="image", description="PNG")
FRAMES = OutputField(
    name="image_bytes", dtype="string", shape=(None,), content="image", description="PNGs; empty after the last frame"
)


def latent_point(seed: Any, numbers: int) -> Any:
    """float32 [numbers], drawn from a standard normal distribution: the same for the same seed."""
    return tf.random.stateless_normal([numbers], seed=tf.stack([seed, tf.zeros_like(seed)]))


def each(draw: Callable[..., Any], *rows: Any) -> Any:
    """`draw` once a row; it returns strings, one or a row of them."""
    return tf.map_fn(lambda row: draw(*row), rows, fn_output_signature=tf.string)


def films(film: Callable[..., Any], steps: Any, *rows: Any) -> Any:
    """`film(steps, *row)` once a row: its frames, string [steps]. Rows are filled up with "" to the longest one."""
    steps = tf.clip_by_value(steps, 1, MOST_STEPS)
    longest = tf.reduce_max(tf.concat([[1], steps], axis=0))
    return each(lambda steps, *row: tf.pad(film(steps, *row), [[0, longest - steps]]), steps, *rows)


def sheets(paint: Callable[[Any], Any], shape: tuple[int, int, int]) -> Callable[[Any, Any], Any]:
    """From a seed and a number a row to n x n pictures as one PNG: what `paint` gives for `seed`, `seed` + 1 and so on.

    `paint` gives uint8 of that shape.
    """
    picture = tf.TensorSpec(shape, tf.uint8)

    def draw(seed: Any, n: Any) -> Any:
        n = tf.clip_by_value(n, 1, LARGEST_SHEET)
        seeds = seed + tf.range(tf.cast(n * n, tf.int64))
        return png(tiled(tf.map_fn(paint, seeds, fn_output_signature=picture), n), 1)

    return lambda seed, n: each(draw, seed, n)


def png(picture: Any, scale: Any) -> Any:
    """uint8 [height, width, 1 or 3] to PNG, every pixel `scale` x `scale`."""
    scale = tf.clip_by_value(scale, 1, LARGEST_SCALE)
    return tf.io.encode_png(tf.repeat(tf.repeat(picture, scale, axis=0), scale, axis=1))


def tiled(pictures: Any, n: Any) -> Any:
    """n * n pictures [n * n, height, width, channels] as one of n rows, [n * height, n * width, channels]."""
    height, width, channels = pictures.shape[1:]
    rows = tf.transpose(tf.reshape(pictures, [n, n, height, width, channels]), [0, 2, 1, 3, 4])
    return tf.reshape(rows, [n * height, n * width, channels])
