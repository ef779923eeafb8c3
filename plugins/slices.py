"""A picture that takes long, drawn in slices: what `start` and `continue` have in common.

All state is strings, so that rows whose pictures differ in size share a call. It comes back from a client: what is read
from it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from plugins.contract import InputField, OutputField

FLOAT_BYTES = 4
PROGRESS = OutputField(name="progress", dtype="float32", content="progress", description="from 0 to 1; 1: it is whole")


def work(most: int, what: str) -> InputField:
    """How much of `what` to do in one call."""
    return InputField(
        name="work", dtype="int32", description=f"{what} to do in this call", default=1, minimum=0, maximum=most
    )


def state_in(name: str) -> InputField:
    """A piece of state as `continue` takes it."""
    return InputField(name=name, dtype="string", description="as the call before answered it")


def state_out(name: str) -> OutputField:
    """A piece of state as both answer it."""
    return OutputField(name=name, dtype="string", content="state", description="for `continue`")


def row_by_row(one: Callable[[tuple[Any, ...]], Any], rows: tuple[Any, ...], types: tuple[Any, ...]) -> Any:
    """`one` of each row, one after another: each is as large as the memory that a picture takes."""
    return tf.map_fn(one, rows, fn_output_signature=types, parallel_iterations=1)


def packed(picture: Any) -> Any:
    """A float32 [height, width, channels] as one row's state: its numbers, and behind them its height and width."""
    sides = tf.cast(tf.shape(picture)[:2], tf.float32)
    return packed_numbers(tf.concat([tf.reshape(picture, (-1,)), sides], 0))


def packed_numbers(numbers: Any) -> Any:
    """A float32 [count] as one row's state. The numbers' bytes come last in what TensorFlow writes."""
    return tf.io.serialize_tensor(numbers)


def picture_of(state: Any, most: int, channels: int = 3) -> Any:
    """The float32 [height, width, channels] in one row's state; fails unless both sides are 1 to `most`."""
    sides = numbers_of(state, 2)
    rule = f"A picture in the state has sides of 1 to {most}. Received:"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all((sides >= 1) & (sides <= most)), [rule, sides])]):
        height, width = tf.unstack(tf.cast(sides, tf.int32))
    numbers = numbers_of(state, height * width * channels, behind=2)
    return tf.ensure_shape(tf.reshape(numbers, tf.stack((height, width, channels))), (None, None, channels))


def numbers_of(state: Any, count: Any, behind: int = 0) -> Any:
    """The float32 [count] in one row's state, all finite, of which `behind` numbers are behind.

    Read from the bytes themselves: TensorFlow's own reader takes one number for as large a tensor as is said.
    """
    end, size = FLOAT_BYTES * behind, FLOAT_BYTES * count
    rule = "The state has as many numbers as it says. Received, in bytes:"
    length = tf.strings.length(state)
    with tf.control_dependencies([tf.debugging.Assert(length >= end + size, [rule, length])]):
        numbers = tf.io.decode_raw(tf.strings.substr(state, length - end - size, size), tf.float32)
    numbers = tf.ensure_shape(numbers, (count if isinstance(count, int) else None,))
    return tf.debugging.check_numerics(numbers, "The state holds finite numbers.")
