"""Gradient ascent on a photograph, over octaves, in the graph (listings 8.10 to 8.13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from plugins.pictures import decode

SMALLEST, LARGEST = 112, 512  # pixels a side of what is dreamt on: a smaller picture is enlarged, a larger one reduced
MOST_OCTAVES, MOST_STEPS = 6, 50
LEAST_SCALE, MOST_SCALE = 1.1, 2.0
BORDER = 2  # places at the edge of a map that do not count: there, padding shines through
HALF_RANGE = 127.5  # grey levels for 1 of the book's pixels, which run from -1 to 1
FLAT = 1e-7  # the least mean slope that is divided by


class Knobs(NamedTuple):
    """One request's, as the signature lists them after the picture."""

    octaves: Any
    octave_scale: Any
    steps: Any
    step_size: Any
    most: Any
    size: Any
    shallow: Any
    middle: Any
    deep: Any
    deepest: Any

    def bounded(self) -> Knobs:
        """Within what the card says, for those who come past it: a smaller octave that is larger has no end."""
        return self._replace(
            octaves=tf.clip_by_value(self.octaves, 1, MOST_OCTAVES),
            octave_scale=tf.clip_by_value(self.octave_scale, LEAST_SCALE, MOST_SCALE),
            steps=tf.clip_by_value(self.steps, 0, MOST_STEPS),
        )


class Dreamer:
    """`generate`: a photograph in, the dream and how excited the network is by it out."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def generate(self, image_bytes: Any, *knobs: Any) -> Mapping[str, Any]:
        """Each row by itself: a dream does not depend on its company."""

        def one(row: tuple[Any, ...]) -> tuple[Any, Any]:
            dream, excitement = self.dream(_photograph(row[0], row[6]), Knobs(*row[1:]).bounded())
            picture = tf.cast(tf.round(tf.clip_by_value(dream, 0, 255)), tf.uint8)
            return tf.io.encode_png(picture), excitement

        pictures, excitement = tf.map_fn(
            one, (image_bytes, *knobs), fn_output_signature=(tf.string, tf.float32), parallel_iterations=1
        )
        return {"image_bytes": pictures, "excitement": excitement}

    def dream(self, photograph: Any, knobs: Knobs) -> tuple[Any, Any]:
        """Listing 8.12: float32 [height, width, 3] of any levels, and the excitement at the last octave's end.

        From the smallest octave to the photograph's size: enlarge, climb, and put back what reducing the photograph to
        the octave before had lost.
        """

        def octave(number: Any, image: Any, reduced: Any, _: Any) -> tuple[Any, ...]:
            shape = _shape(photograph, knobs, knobs.octaves - 1 - number)
            seen = _resized(photograph, shape)
            image, excitement = self._climb(_resized(image, shape), seen, knobs)
            return number + 1, image + seen - _resized(reduced, shape), seen, excitement

        start = _resized(photograph, _shape(photograph, knobs, knobs.octaves - 1))
        any_size = tf.TensorShape((None, None, 3))
        _, image, _, excitement = tf.while_loop(
            lambda number, *_: number < knobs.octaves,
            octave,
            (0, start, start, 1.0),
            shape_invariants=(tf.TensorShape(()), any_size, any_size, tf.TensorShape(())),
        )
        return image, excitement

    def _climb(self, image: Any, photograph: Any, knobs: Knobs) -> tuple[Any, Any]:
        """Listings 8.10 and 8.11: so many steps, or until the excitement passes the most."""
        weights = tf.stack((knobs.shallow, knobs.middle, knobs.deep, knobs.deepest))
        weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights))
        calm = self._activity(photograph)

        def excitement_of(image: Any) -> Any:
            return tf.reduce_sum(weights * self._activity(image) / calm)

        def step(number: Any, image: Any, _: Any) -> tuple[Any, ...]:
            with tf.GradientTape() as tape:
                tape.watch(image)
                excitement = excitement_of(image)
            slope = tape.gradient(excitement, image)
            slope /= tf.maximum(tf.reduce_mean(tf.abs(slope)), FLAT)
            return number + 1, image + HALF_RANGE * knobs.step_size * slope, excitement

        _, image, _ = tf.while_loop(
            lambda number, _, excitement: (number < knobs.steps) & (excitement <= knobs.most),
            step,
            (0, image, 1.0),
        )
        return image, excitement_of(image)

    def _activity(self, image: Any) -> Any:
        """The mean square of each layer's maps, float32 [4], without their borders."""
        maps = self.model(image[tf.newaxis], training=False)
        inner = [each[:, BORDER:-BORDER, BORDER:-BORDER] for each in maps]
        return tf.stack([tf.reduce_mean(each**2) for each in inner]) + FLAT


def _photograph(image_bytes: Any, size: Any) -> Any:
    """float32 [height, width, 3], 0 to 255, its longer side at most `size` pixels."""
    picture = decode(image_bytes)
    height, width = tf.unstack(tf.cast(tf.shape(picture)[:2], tf.float32))
    longest = tf.cast(tf.clip_by_value(size, SMALLEST, LARGEST), tf.float32)
    smaller = tf.minimum(1.0, longest / tf.maximum(height, width))
    return tf.image.resize(picture, _sides(smaller * height, smaller * width), antialias=True)


def _shape(photograph: Any, knobs: Knobs, octave: Any) -> Any:
    """The octave's height and width; the last one, 0, has the photograph's."""
    height, width = tf.unstack(tf.cast(tf.shape(photograph)[:2], tf.float32))
    smaller = knobs.octave_scale ** -tf.cast(octave, tf.float32)
    return _sides(smaller * height, smaller * width)


def _sides(height: Any, width: Any) -> Any:
    return tf.maximum(SMALLEST, tf.cast(tf.floor(tf.stack((height, width)) + 1e-3), tf.int32))


def _resized(image: Any, shape: Any) -> Any:
    return tf.ensure_shape(tf.image.resize(image, shape), (None, None, 3))
