"""Gradient ascent on a photograph, over octaves, in the graph (listings 8.10 to 8.13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from plugins.pictures import decode
from plugins.slices import numbers_of, packed, packed_numbers, picture_of, row_by_row

SMALLEST, LARGEST = 112, 512  # pixels a side of what is dreamt on: a smaller picture is enlarged, a larger one reduced
MOST_OCTAVES, MOST_STEPS = 6, 50
LEAST_SCALE, MOST_SCALE = 1.1, 2.0
BORDER = 2  # places at the edge of a map that do not count: there, padding shines through
HALF_RANGE = 127.5  # grey levels for 1 of the book's pixels, which run from -1 to 1
FLAT = 1e-7  # the least mean slope that is divided by
MOST_WORK = MOST_OCTAVES * (MOST_STEPS + 1)
STATES = ("state_image", "state_photograph", "state_numbers")
SLICE_TYPES = (tf.string, tf.float32, tf.float32, *(tf.string for _ in STATES))


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


NUMBERS = 3 + len(Knobs._fields) + 4  # octave, step, excitement; knobs; calm


class Moment(NamedTuple):
    """A dream between two steps."""

    image: Any  # float32 [height, width, 3] of any levels, as large as the octave
    octave: Any  # int32, from 0, the smallest
    step: Any  # int32, of this octave
    excitement: Any  # float32: how many times as active the layers are as by the photograph
    calm: Any  # float32 [4]: how active they are by the photograph, at this size

    def progress(self, knobs: Knobs) -> Any:
        """In steps; 1 after the last octave only."""
        each = knobs.steps + 1
        return tf.minimum(1.0, tf.cast((self.octave * each + self.step) / (knobs.octaves * each), tf.float32))


class Dreamer:
    """A photograph in, the dream and how excited the network is by it out: whole, or a slice at a time.

    Each row by itself: a dream does not depend on its company.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def generate(self, image_bytes: Any, *knobs: Any) -> Mapping[str, Any]:
        """The whole dream."""

        def one(row: tuple[Any, ...]) -> tuple[Any, Any]:
            dream = self.dream(*_asked(row), MOST_WORK)
            return _png(dream), dream.excitement

        pictures, excitement = row_by_row(one, (image_bytes, *knobs), (tf.string, tf.float32))
        return {"image_bytes": pictures, "excitement": excitement}

    def start(self, image_bytes: Any, *knobs_and_work: Any) -> Mapping[str, Any]:
        """Its first steps."""

        def one(row: tuple[Any, ...]) -> tuple[Any, ...]:
            photograph, knobs = _asked(row[:-1])
            return _told(self.dream(photograph, knobs, row[-1]), photograph, knobs)

        return _slice(row_by_row(one, (image_bytes, *knobs_and_work), SLICE_TYPES))

    def go_on(self, work: Any, *states: Any) -> Mapping[str, Any]:
        """So many steps more."""

        def one(row: tuple[Any, ...]) -> tuple[Any, ...]:
            moment, photograph, knobs = _remembered(*row[1:])
            return _told(self._advance(moment, photograph, knobs, row[0]), photograph, knobs)

        return _slice(row_by_row(one, (work, *states), SLICE_TYPES))

    def dream(self, photograph: Any, knobs: Knobs, work: Any) -> Moment:
        """Listing 8.12, its first `work` steps; each octave's end counts as one.

        From the smallest octave to the photograph's size: climb, put back what reducing the photograph to the octave
        before had lost, and enlarge.
        """
        image = _resized(photograph, _shape(photograph, knobs, 0))
        first = Moment(image, 0, 0, 1.0, self._activity(image))
        return self._advance(first, photograph, knobs, work)

    def _advance(self, moment: Moment, photograph: Any, knobs: Knobs, work: Any) -> Moment:
        def one_more(number: Any, moment: Moment) -> tuple[Any, Moment]:
            climbing = (moment.step < knobs.steps) & (moment.excitement <= knobs.most)
            after = tf.cond(
                climbing, lambda: self._step(moment, knobs), lambda: self._end_of_octave(moment, photograph, knobs)
            )
            return number + 1, after

        any_size = tf.TensorShape((None, None, 3))
        scalar = tf.TensorShape(())
        _, after = tf.while_loop(
            lambda number, moment: (number < tf.minimum(work, MOST_WORK)) & (moment.octave < knobs.octaves),
            one_more,
            (0, moment),
            shape_invariants=(scalar, Moment(any_size, scalar, scalar, scalar, tf.TensorShape((4,)))),
        )
        return after

    def _step(self, moment: Moment, knobs: Knobs) -> Moment:
        """Listing 8.11: up the slope, whatever its size."""
        with tf.GradientTape() as tape:
            tape.watch(moment.image)
            excitement = self._excitement(moment.image, moment, knobs)
        slope = tape.gradient(excitement, moment.image)
        slope /= tf.maximum(tf.reduce_mean(tf.abs(slope)), FLAT)
        image = moment.image + HALF_RANGE * knobs.step_size * slope
        return moment._replace(image=image, step=moment.step + 1, excitement=excitement)

    def _end_of_octave(self, moment: Moment, photograph: Any, knobs: Knobs) -> Moment:
        """Put lost details back; the next octave begins as large as it is, unless this was the last."""

        def reduced(octave: Any) -> Any:
            return _resized(photograph, _shape(photograph, knobs, octave))

        seen = reduced(moment.octave)
        lost = seen - _resized(reduced(tf.maximum(moment.octave - 1, 0)), tf.shape(seen)[:2])
        excitement = self._excitement(moment.image, moment, knobs)
        here = Moment(moment.image + lost, moment.octave + 1, 0, excitement, moment.calm)

        def enlarged() -> Moment:
            larger = reduced(here.octave)
            image = _resized(here.image, tf.shape(larger)[:2])
            return here._replace(image=image, excitement=1.0, calm=self._activity(larger))

        return tf.cond(here.octave < knobs.octaves, enlarged, lambda: here)

    def _excitement(self, image: Any, moment: Moment, knobs: Knobs) -> Any:
        """Listing 8.10, counted from what the photograph gives."""
        weights = tf.stack((knobs.shallow, knobs.middle, knobs.deep, knobs.deepest))
        weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights))
        return tf.reduce_sum(weights * self._activity(image) / moment.calm)

    def _activity(self, image: Any) -> Any:
        """The mean square of each layer's maps, float32 [4], without their borders."""
        maps = self.model(image[tf.newaxis], training=False)
        inner = [each[:, BORDER:-BORDER, BORDER:-BORDER] for each in maps]
        return tf.stack([tf.reduce_mean(each**2) for each in inner]) + FLAT


def _asked(row: tuple[Any, ...]) -> tuple[Any, Knobs]:
    """A row of a request: its photograph, no larger than asked, and its knobs."""
    knobs = Knobs(*row[1:]).bounded()
    return _photograph(row[0], knobs.size), knobs


def _told(moment: Moment, photograph: Any, knobs: Knobs) -> tuple[Any, ...]:
    """A row of an answer, picture, figure, progress and states."""
    floats = (tf.cast(number, tf.float32) for number in (moment.octave, moment.step, moment.excitement, *knobs))
    numbers = packed_numbers(tf.concat([tf.stack(list(floats)), moment.calm], 0))
    states = (packed(moment.image), packed(photograph), numbers)
    return _png(moment), moment.excitement, moment.progress(knobs), *states


def example_state() -> Mapping[str, bytes]:
    """A dream of one grey pixel, at its end."""
    pixel = tf.fill((1, 1, 3), 128.0)
    one_octave = Knobs(1, 1.4, 0, 0.0, 1.0, SMALLEST, 1.0, 1.0, 1.0, 1.0)
    _, _, _, *states = _told(Moment(pixel, 1, 0, 1.0, tf.ones(4)), pixel, one_octave)
    return {name: state.numpy() for name, state in zip(STATES, states, strict=True)}


def _remembered(image: Any, photograph: Any, numbers: Any) -> tuple[Moment, Any, Knobs]:
    """What `_told` kept, in bounds."""
    octave, step, excitement, *knobs, calm = tf.split(numbers_of(numbers, NUMBERS), [1] * (NUMBERS - 4) + [4])
    whole = {"octaves", "steps", "size"}
    read = {
        name: tf.cast(value[0], tf.int32 if name in whole else tf.float32)
        for name, value in zip(Knobs._fields, knobs, strict=True)
    }
    moment = Moment(
        picture_of(image, LARGEST),
        tf.cast(tf.clip_by_value(octave[0], 0, MOST_OCTAVES), tf.int32),
        tf.cast(tf.clip_by_value(step[0], 0, MOST_STEPS), tf.int32),
        excitement[0],
        calm,
    )
    return moment, picture_of(photograph, LARGEST), Knobs(**read).bounded()


def _slice(columns: tuple[Any, ...]) -> Mapping[str, Any]:
    return dict(zip(("image_bytes", "excitement", "progress", *STATES), columns, strict=True))


def _png(moment: Moment) -> Any:
    return tf.io.encode_png(tf.cast(tf.round(tf.clip_by_value(moment.image, 0, 255)), tf.uint8))


def _photograph(image_bytes: Any, size: Any) -> Any:
    """float32 [height, width, 3], 0 to 255, its longer side at most `size` pixels."""
    picture = decode(image_bytes)
    height, width = tf.unstack(tf.cast(tf.shape(picture)[:2], tf.float32))
    longest = tf.cast(tf.clip_by_value(size, SMALLEST, LARGEST), tf.float32)
    smaller = tf.minimum(1.0, longest / tf.maximum(height, width))
    return tf.image.resize(picture, _sides(smaller * height, smaller * width), antialias=True)


def _shape(photograph: Any, knobs: Knobs, octave: Any) -> Any:
    """The octave's height and width; the last one has the photograph's."""
    height, width = tf.unstack(tf.cast(tf.shape(photograph)[:2], tf.float32))
    smaller = knobs.octave_scale ** tf.cast(octave + 1 - knobs.octaves, tf.float32)
    return _sides(smaller * height, smaller * width)


def _sides(height: Any, width: Any) -> Any:
    return tf.maximum(SMALLEST, tf.cast(tf.floor(tf.stack((height, width)) + 1e-3), tf.int32))


def _resized(image: Any, shape: Any) -> Any:
    return tf.ensure_shape(tf.image.resize(image, shape), (None, None, 3))
