"""What stands for a missing number, in training and in a request alike."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def fill_gaps(rows: Any) -> Any:
    """`rows` float32 [..., times, columns], each missing number (NaN, infinite) replaced by the last one before it.

    Before the first number of a column stands that first one; a column without any stays NaN.
    """
    filled = _carry(tf.where(tf.math.is_finite(rows), rows, float("nan")))
    return tf.reverse(_carry(tf.reverse(filled, [-2])), [-2])


def _carry(rows: Any) -> Any:
    """After a step of 1, 2, 4, ... rows, gaps of less than twice that length are closed."""
    times, step = rows.shape[-2], 1
    while step < times:
        before = tf.concat([rows[..., :step, :], rows[..., :-step, :]], axis=-2)
        rows = tf.where(tf.math.is_nan(rows), before, rows)
        step *= 2
    return rows
