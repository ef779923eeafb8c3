"""From a picture of a digit, as people send it, to the 28 x 28 pixels that the networks learned from; in the graph.

Steps as MNIST itself was made (LeCun, Cortes and Burges, "The MNIST database": the digit is scaled to fit 20 x 20
keeping its aspect, then placed so that its centre of mass is the centre of the 28 x 28 field).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from plugins.mnist.model import SIDE
from plugins.pictures import decode_jpeg

BOX = 20
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
NEGLIGIBLE = 8.0  # grey levels: a picture that varies less shows nothing, paper that is no lighter is black
FAINT = 0.1  # of the strongest ink: below this it is the blur of an edge; of the fullest cell: below this it is a speck
CELLS = 32  # a side of the coarse picture in which specks are found
NOISE_SHARE = 0.9  # of the border's pixels are paper; how they vary is noise, and three times that is not ink


ENLARGED = 8  # screen pixels a side for each of the 28 x 28, for people to see


class DigitView:
    """How the networks see a picture of a digit; people are shown the 28 x 28 that are left of it."""

    def read(self, image_bytes: Any) -> Any:
        """As `read_digits` does."""
        return read_digits(image_bytes)

    def shown(self, image_bytes: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        """float32 [224, 224, 3], all of which is read."""
        digit = tf.repeat(tf.repeat(read_digit(image_bytes), ENLARGED, axis=0), ENLARGED, axis=1)
        return tf.repeat(digit[..., tf.newaxis], 3, axis=2), (0, 0, SIDE * ENLARGED)


def read_digits(image_bytes: Any) -> Any:
    """PNG or JPEG strings [N] to float32 [N, 28, 28], 0 to 255, light on dark."""
    return tf.map_fn(read_digit, image_bytes, fn_output_signature=tf.TensorSpec((SIDE, SIDE), tf.float32))


def read_digit(image_bytes: Any) -> Any:
    """One of them. What is 28 x 28 and light on black already is left as it is."""
    picture = tf.cond(
        tf.io.is_jpeg(image_bytes),
        lambda: decode_jpeg(image_bytes),
        lambda: tf.io.decode_image(image_bytes, expand_animations=False),
    )
    grey = to_grey(picture)
    paper, noise = _paper(grey)
    above, below = tf.nn.relu(grey - paper), tf.nn.relu(paper - grey)
    # A high power, because ink differs much from the paper on few pixels, shadows and noise little on many.
    light_on_dark = tf.reduce_sum(above**4) >= tf.reduce_sum(below**4)
    ready = light_on_dark & (paper < NEGLIGIBLE) & tf.reduce_all(tf.shape(grey) == SIDE)
    field = tf.cond(ready, lambda: grey, lambda: centred(tf.where(light_on_dark, above, below), noise))
    return tf.ensure_shape(field, (SIDE, SIDE))


def to_grey(image: Any) -> Any:
    """uint8 [height, width, 1 to 4 channels] to grey levels, float32 [height, width], 0 to 255.

    What is transparent becomes the paper of the visible ink: white below dark ink, black below light ink.
    """
    levels = tf.cast(image, tf.float32)
    channels = tf.shape(image)[2]
    colour = channels >= 3
    grey = tf.cond(
        colour, lambda: tf.round(tf.tensordot(levels[..., :3], tf.constant(LUMA), 1)), lambda: levels[..., 0]
    )
    opacity = tf.where(channels % 2 == 0, levels[..., -1] / 255, 1.0)
    ink_level = tf.math.divide_no_nan(tf.reduce_sum(grey * opacity), tf.reduce_sum(opacity))
    paper = tf.where(ink_level < 128, 255.0, 0.0)
    return tf.round(opacity * grey + (1 - opacity) * paper)


def centred(ink: Any, noise: Any) -> Any:
    """Ink [height, width] of any strength on paper of 0 that varies by `noise`, to float32 [28, 28] of 0 to 255."""
    strongest = tf.reduce_max(ink)
    faint = tf.minimum(FAINT * strongest + 3 * noise, strongest / 2)
    return tf.cond(
        strongest < NEGLIGIBLE,
        lambda: tf.zeros((SIDE, SIDE)),
        lambda: _placed(_boxed(_cropped(_without_specks(tf.where(ink > faint, ink, 0))))),
    )


def _without_specks(ink: Any) -> Any:
    """Ink without dust and without noise that passed for ink: cells of the coarse picture that hold little of it."""
    size = tf.shape(ink)
    cells = tf.image.resize(ink[..., tf.newaxis], tf.minimum(size, CELLS), "area")
    full = tf.cast(cells > FAINT * tf.reduce_max(cells), tf.float32)
    return ink * tf.image.resize(full, size, "nearest")[..., 0]


def _placed(digit: Any) -> Any:
    """In the field, its centre of mass in the middle."""
    height, width = tf.unstack(tf.shape(digit))
    top, left = _offset(digit, 0, height), _offset(digit, 1, width)
    return 255 * tf.pad(digit, [[top, SIDE - height - top], [left, SIDE - width - left]])


def _cropped(ink: Any) -> Any:
    """The smallest rectangle that holds all ink."""
    places = tf.where(ink > 0)
    first, last = tf.reduce_min(places, axis=0), tf.reduce_max(places, axis=0)
    return ink[first[0] : last[0] + 1, first[1] : last[1] + 1]


def _boxed(ink: Any) -> Any:
    """Scaled so that the longer side is 20 pixels and the strongest ink is 1 again."""
    size = tf.cast(tf.shape(ink), tf.float32)
    target = tf.maximum(1, tf.cast(tf.round(size * BOX / tf.reduce_max(size)), tf.int32))
    scaled = tf.image.resize(ink[..., tf.newaxis], target, antialias=True)[..., 0]
    return scaled / tf.reduce_max(scaled)


def _offset(ink: Any, axis: int, length: Any) -> Any:
    """Where along `axis` the ink begins, for its centre of mass to lie on pixel 14, counted from 0, as MNIST's does."""
    mass = tf.reduce_sum(ink, axis=1 - axis)
    centre = tf.reduce_sum(mass * tf.range(tf.cast(length, tf.float32))) / tf.reduce_sum(mass)
    return tf.clip_by_value(tf.cast(tf.round(SIDE / 2 - centre), tf.int32), 0, SIDE - length)


def _paper(grey: Any) -> tuple[Any, Any]:
    """The paper's level and how much it varies, as the outermost pixels tell."""
    border = tf.concat([grey[0], grey[-1], grey[:, 0], grey[:, -1]], axis=0)
    level = _quantile(border, 0.5)
    return level, _quantile(tf.abs(border - level), NOISE_SHARE)


def _quantile(values: Any, share: float) -> Any:
    return tf.sort(values)[tf.cast(share * tf.cast(tf.size(values), tf.float32), tf.int32)]
