"""A picture that takes long, drawn in slices: what `start` and `continue` have in common.

All state is strings, so that rows whose pictures differ in size share a call. It comes back from a client: what is read
from it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from plugins.contract import InputField, OutputField

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


def picture_of(state: Any, most: int) -> Any:
    """The float32 [height, width, 3] in one row's state; fails unless both sides are 1 to `most`."""
    picture = tf.ensure_shape(tf.io.parse_tensor(state, tf.float32), (None, None, 3))
    sides = tf.shape(picture)[:2]
    rule = f"A picture in the state has sides of 1 to {most} pixels. Received:"
    tf.debugging.Assert(tf.reduce_all((sides >= 1) & (sides <= most)), [rule, sides])
    return picture


def numbers_of(state: Any, count: int) -> Any:
    """The float32 [count] in one row's state."""
    return tf.ensure_shape(tf.io.parse_tensor(state, tf.float32), (count,))
