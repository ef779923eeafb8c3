"""Gradient descent on a photograph until it has another picture's style, in the graph (listings 8.20 to 8.22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from plugins.pictures import bounded, decode
from plugins.slices import FLOAT_BYTES, numbers_of, packed, packed_numbers, picture_of, row_by_row
from plugins.style_transfer.losses import Goal, Weights, grams, total_loss

SMALLEST, LARGEST = 64, 512  # pixels a side: a smaller picture is enlarged, a larger one reduced
LEAST = 16  # pixels a side of a picture in the state: the deepest maps of fewer are empty
MOST_STEPS = 500
STEP = 10.0  # grey levels that a pixel moves, where its slope stays the same
# Kingma and Ba 2014, their numbers.
MOMENTUM, ENERGY, FLAT = 0.9, 0.999, 1e-7
STATES = ("state_image", "state_momentum", "state_energy", "state_content", "state_grams", "state_numbers")
SLICE_TYPES = (tf.string, tf.float32, tf.float32, *(tf.string for _ in STATES))


class Knobs(NamedTuple):
    """One request's, as the signature lists them after the two pictures."""

    steps: Any
    size: Any
    content_weight: Any
    style_weight: Any
    variation_weight: Any

    @property
    def weights(self) -> Weights:
        """Of the losses."""
        return Weights(self.content_weight, self.style_weight, self.variation_weight)


class Moment(NamedTuple):
    """A picture between two steps, float32 [height, width, 3] as are the means of its slopes and their squares."""

    image: Any
    momentum: Any
    energy: Any
    loss: Any  # float32: of this image
    step: Any  # int32

    def progress(self, steps: Any) -> Any:
        """1 after the last step only."""
        return tf.cast(tf.where(self.step < steps, self.step / tf.maximum(steps, 1), 1), tf.float32)


class Transfer:
    """A photograph and a style's picture in, the photograph in that style out: whole, or a slice at a time.

    Each row by itself: a picture does not depend on its company.
    """

    def __init__(self, eyes: keras.Model) -> None:
        self.eyes = eyes

    def generate(self, image_bytes: Any, style_bytes: Any, *knobs: Any) -> Mapping[str, Any]:
        """All steps."""

        def one(row: tuple[Any, ...]) -> tuple[Any, Any]:
            moment, goal, knobs = self._begun(*row)
            moment = self._advance(moment, goal, knobs, MOST_STEPS)
            return _png(moment), moment.loss

        pictures, losses = row_by_row(one, (image_bytes, style_bytes, *knobs), (tf.string, tf.float32))
        return {"image_bytes": pictures, "loss": losses}

    def start(self, image_bytes: Any, style_bytes: Any, *knobs_and_work: Any) -> Mapping[str, Any]:
        """The first steps."""

        def one(row: tuple[Any, ...]) -> tuple[Any, ...]:
            moment, goal, knobs = self._begun(*row[:-1])
            moment = self._advance(moment, goal, knobs, row[-1])
            return _told(moment, knobs, packed(goal.content[0]), _flat(goal.grams))

        return _slice(row_by_row(one, (image_bytes, style_bytes, *knobs_and_work), SLICE_TYPES))

    def go_on(self, work: Any, *states: Any) -> Mapping[str, Any]:
        """So many steps more."""

        def one(row: tuple[Any, ...]) -> tuple[Any, ...]:
            work, *kept, content, style, numbers = row
            moment, goal, knobs = self._remembered(kept, content, style, numbers)
            return _told(self._advance(moment, goal, knobs, work), knobs, content, style)

        return _slice(row_by_row(one, (work, *states), SLICE_TYPES))

    def _begun(self, image_bytes: Any, style_bytes: Any, *asked: Any) -> tuple[Moment, Goal, Knobs]:
        """The photograph itself, judged."""
        knobs = Knobs(tf.clip_by_value(asked[0], 0, MOST_STEPS), *asked[1:])
        photograph, style = (_picture(one, knobs.size) for one in (image_bytes, style_bytes))
        content = self._maps(photograph)[-1]
        goal = Goal(content, grams(self._maps(style), style[tf.newaxis]))
        nothing = tf.zeros_like(photograph)
        return self._judged(Moment(photograph, nothing, nothing, 0.0, 0), goal, knobs), goal, knobs

    def _advance(self, moment: Moment, goal: Goal, knobs: Knobs, work: Any) -> Moment:
        last = moment.step + tf.minimum(work, knobs.steps - moment.step)
        any_size, scalar = tf.TensorShape((None, None, 3)), tf.TensorShape(())
        (after,) = tf.while_loop(
            lambda moment: moment.step < last,
            lambda moment: (self._judged(_stepped(moment), goal, knobs),),
            (moment,),
            shape_invariants=(Moment(any_size, any_size, any_size, scalar, scalar),),
        )
        return after

    def _judged(self, moment: Moment, goal: Goal, knobs: Knobs) -> Moment:
        """Its loss, and the slope there mixed into the means."""
        with tf.GradientTape() as tape:
            tape.watch(moment.image)
            maps = self._maps(moment.image)
            tf.debugging.assert_equal(tf.shape(maps[-1]), tf.shape(goal.content), "The content is of the picture.")
            loss = total_loss(moment.image[tf.newaxis], maps, goal, knobs.weights)[0]
        slope = tape.gradient(loss, moment.image)
        momentum = MOMENTUM * moment.momentum + (1 - MOMENTUM) * slope
        energy = ENERGY * moment.energy + (1 - ENERGY) * slope**2
        return moment._replace(momentum=momentum, energy=energy, loss=loss)

    def _maps(self, image: Any) -> Any:
        return self.eyes(image[tf.newaxis], training=False)

    def _remembered(self, kept: Sequence[Any], content: Any, style: Any, numbers: Any) -> tuple[Moment, Goal, Knobs]:
        """What `_told` kept, if it can be true; fails otherwise."""
        image, momentum, energy = (picture_of(one, LARGEST) for one in kept)
        sides = tf.shape(image)
        tf.debugging.assert_greater_equal(sides[:2], LEAST, f"Sides in the state are {LEAST} pixels or more.")
        for one in (momentum, energy):
            tf.debugging.assert_equal(tf.shape(one), sides, "Pictures in the state are of one size.")
        step, loss, steps, *weights = tf.unstack(
            numbers_of(numbers, 3 + len(Weights._fields)), 3 + len(Weights._fields)
        )
        steps, step = (tf.cast(tf.clip_by_value(one, 0, MOST_STEPS), tf.int32) for one in (steps, step))
        seen = picture_of(content, LARGEST, self.eyes.output[-1].shape[-1])[tf.newaxis]
        moment = Moment(tf.clip_by_value(image, 0, 255), momentum, tf.abs(energy), loss, step)
        return moment, Goal(seen, self._grams(style)), Knobs(steps, LARGEST, *weights)

    def _grams(self, state: Any) -> Sequence[Any]:
        """The style in a row's state; one number stands for as many alike, so that the card's example is short."""
        sides = [one.shape[-1] for one in self.eyes.output[:-1]]
        count = sum(side**2 for side in sides)
        given = tf.where(tf.strings.length(state) < FLOAT_BYTES * count, 1, count)
        parts = tf.split(tf.broadcast_to(numbers_of(state, given), (count,)), [side**2 for side in sides])
        return [tf.reshape(part, (1, side, side)) for part, side in zip(parts, sides, strict=True)]


def _stepped(moment: Moment) -> Moment:
    """Adam, which here came lower than L-BFGS in as many evaluations. Levels stay what a picture can have."""
    count = tf.cast(moment.step + 1, tf.float32)
    slope = moment.momentum / (1 - MOMENTUM**count)
    scale = tf.sqrt(moment.energy / (1 - ENERGY**count)) + FLAT
    return moment._replace(image=tf.clip_by_value(moment.image - STEP * slope / scale, 0, 255), step=moment.step + 1)


def example_state(eyes: keras.Model) -> Mapping[str, bytes]:
    """Before the first of two steps of a small grey picture to a style of nothing."""
    grey = tf.fill((LEAST, LEAST, 3), 128.0)
    nothing = tf.zeros_like(grey)
    content = packed(eyes(grey[tf.newaxis])[-1][0])
    style = packed_numbers(tf.zeros(1))
    _, _, _, *states = _told(Moment(grey, nothing, nothing, 0.0, 0), Knobs(2, LARGEST, *Weights()), content, style)
    return {name: state.numpy() for name, state in zip(STATES, states, strict=True)}


def _told(moment: Moment, knobs: Knobs, content: Any, style: Any) -> tuple[Any, ...]:
    """A row of an answer: picture, loss, progress and states."""
    numbers = tf.stack([tf.cast(one, tf.float32) for one in (moment.step, moment.loss, knobs.steps, *knobs.weights)])
    pictures = (packed(one) for one in (moment.image, moment.momentum, moment.energy))
    kept = packed_numbers(numbers)
    return _png(moment), moment.loss, moment.progress(knobs.steps), *pictures, content, style, kept


def _flat(style: Sequence[Any]) -> Any:
    return packed_numbers(tf.concat([tf.reshape(one, (-1,)) for one in style], 0))


def _slice(columns: tuple[Any, ...]) -> Mapping[str, Any]:
    return dict(zip(("image_bytes", "loss", "progress", *STATES), columns, strict=True))


def _picture(image_bytes: Any, size: Any) -> Any:
    return bounded(decode(image_bytes), tf.clip_by_value(size, SMALLEST, LARGEST), SMALLEST)


def _png(moment: Moment) -> Any:
    return tf.io.encode_png(tf.cast(tf.round(moment.image), tf.uint8))
