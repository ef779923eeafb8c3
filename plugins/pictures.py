"""Photographs as people send them, JPEG or PNG of any size, made into what a network sees; in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from plugins.contract import InputField

LONGEST = 1024  # pixels a side of a picture that is shown; a larger one is made smaller
HEAD = 512  # bytes of a JPEG; cameras write the orientation into the first 250
# An entry of the first directory of EXIF 2.3 (4.6.4, A): tag 0x0112, one SHORT; big-endian and little-endian.
ORIENTATION = (b"\x01\x12\x00\x03\x00\x00\x00\x01\x00", b"\x12\x01\x03\x00\x01\x00\x00\x00")

IMAGE = InputField(
    name="image_bytes", dtype="string", content="image", description="PNG or JPEG of any size, in colour or grey"
)


def _example() -> bytes:
    """A picture that fits anywhere: a bright disk before a gradient."""
    y, x = np.mgrid[-1:1:96j, -1:1:128j]
    levels = np.stack([128 + 60 * x, 128 + 60 * y, 100 + 0 * x], axis=-1)
    levels[x**2 + y**2 < 0.3] = (240, 200, 120)
    encoded = BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()


EXAMPLE = _example()


@dataclass(frozen=True)
class View:
    """What a network sees of a photograph: the middle square, `share` of the shorter side, scaled to `side` pixels."""

    side: int
    share: float = 1.0
    method: str = "bilinear"

    def read(self, image_bytes: Any) -> Any:
        """PNG or JPEG strings [N] to float32 [N, side, side, 3], 0 to 255."""
        shape = tf.TensorSpec((self.side, self.side, 3), tf.float32)
        return tf.map_fn(self._see, image_bytes, fn_output_signature=shape)

    def shown(self, image_bytes: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        """For people: the photograph, float32 [height, width, 3], and of it the square that `read` takes."""
        image = bounded(decode(image_bytes))
        return image, self.square(tf.shape(image)[:2])

    def square(self, size: Any) -> tuple[Any, Any, Any]:
        """Of a picture of `size` (height, width): the first row and column of the square, and its side, in pixels."""
        shorter = tf.cast(tf.reduce_min(size), tf.float32)
        side = tf.maximum(1, tf.cast(tf.round(self.share * shorter), tf.int32))
        return (size[0] - side) // 2, (size[1] - side) // 2, side

    def _see(self, image_bytes: Any) -> Any:
        image = decode(image_bytes)
        top, left, side = self.square(tf.shape(image)[:2])
        square = image[top : top + side, left : left + side]
        # Antialiased, as the tools are that made the training pictures smaller.
        seen = tf.image.resize(square, (self.side, self.side), self.method, antialias=True)
        return tf.clip_by_value(tf.ensure_shape(seen, (self.side, self.side, 3)), 0, 255)


class GreyView(View):
    """The same in shades of grey."""

    def read(self, image_bytes: Any) -> Any:
        """PNG or JPEG strings [N] to float32 [N, side, side], 0 to 255: the mean of red, green and blue."""
        return tf.reduce_mean(super().read(image_bytes), axis=-1)


def bounded(image: Any, longest: Any = LONGEST, shortest: int = 1) -> Any:
    """uint8 [height, width, 3] as float32, its longer side at most `longest` pixels, both at least `shortest`."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    smaller = tf.minimum(1.0, tf.cast(longest, tf.float32) / tf.reduce_max(size))
    return tf.image.resize(image, tf.maximum(shortest, tf.cast(tf.round(smaller * size), tf.int32)), antialias=True)


def decode(image_bytes: Any) -> Any:
    """One PNG or JPEG string to uint8 [height, width, 3], upright.

    Grey and CMYK become RGB, what is transparent white. A JPEG is turned as its EXIF orientation says; of an animation
    the first picture counts.
    """
    return tf.cond(tf.io.is_jpeg(image_bytes), lambda: decode_jpeg(image_bytes), lambda: _decode_other(image_bytes))


def decode_jpeg(image_bytes: Any) -> Any:
    """One JPEG string to uint8 [height, width, 3], upright."""
    return _upright(tf.io.decode_jpeg(image_bytes, channels=3), orientation(image_bytes))


def _decode_other(image_bytes: Any) -> Any:
    image = tf.io.decode_image(image_bytes, expand_animations=False)
    channels = tf.shape(image)[2]
    colour = tf.cond(channels >= 3, lambda: image[..., :3], lambda: tf.repeat(image[..., :1], 3, axis=2))
    opacity = tf.where(channels % 2 == 0, tf.cast(image[..., -1:], tf.float32) / 255, 1.0)
    return tf.cast(tf.round(opacity * tf.cast(colour, tf.float32) + (1 - opacity) * 255), tf.uint8)


def orientation(image_bytes: Any) -> Any:
    """A JPEG's EXIF orientation, 1 to 8 (1: as it is stored, also where none is told)."""
    head = tf.io.decode_raw(tf.strings.substr(image_bytes, 0, HEAD), tf.uint8)
    told = tf.concat([_after(head, pattern)[:1] for pattern in ORIENTATION], 0)
    has_exif = tf.size(_after(head, b"Exif\0\0")) > 0
    value = tf.cast(tf.concat([told, [1]], 0)[0], tf.int32)
    return tf.where(has_exif & (value >= 1) & (value <= 8), value, 1)


def _after(content: Any, pattern: bytes) -> Any:
    """The byte that follows each place where `pattern` stands in `content`."""
    length = len(pattern)
    starts = tf.range(tf.maximum(0, tf.size(content) - length))
    windows = tf.gather(content, starts[:, tf.newaxis] + tf.range(length))
    found = tf.reduce_all(windows == tf.constant(list(pattern), tf.uint8), axis=1)
    return tf.gather(content, tf.boolean_mask(starts, found) + length)


def _upright(image: Any, turned: Any) -> Any:
    """An image stored with EXIF orientation `turned`, as it was seen (EXIF 2.3, table 6)."""
    image = tf.cond(turned >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    for axis, mirrored in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        image = _reversed_where(tf.reduce_any(turned == tf.constant(mirrored)), image, axis)
    return image


def _reversed_where(wanted: Any, image: Any, axis: int) -> Any:
    return tf.cond(wanted, lambda: tf.reverse(image, [axis]), lambda: image)
