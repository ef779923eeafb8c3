"""The trained LSTM written out by hand for serving: one matrix product a character, the same bits in any batch.

A floating-point sum depends on the order of its terms, and matrix kernels change that order with the number of rows: a
text would differ, once in a while, with the company its request is served in. Here the state is rounded to multiples
of 2**-9 and each weight to a multiple of a power of two just coarse enough that the sum of every column stays below
2**24 of its units. Such sums are exact in float32, so their order does not matter. (README: what it costs in nats.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

STATE_UNITS = 2.0**9  # the state h is counted in units of 1 / STATE_UNITS
EXACT = 2.0**24  # float32 holds every whole number up to here
# Vector and scalar kernels of exp and log differ in the last bit: whole vectors only.
VECTOR = 16
IMPOSSIBLE = -1e9


def on_grid(weights: Any) -> Any:
    """float32 [units, columns], rounded so that sums of |state| <= 1 times a column are exact."""
    weights = tf.cast(weights, tf.float64)
    largest = tf.reduce_sum(tf.abs(weights), axis=0) + tf.cast(tf.shape(weights)[0], tf.float64) / EXACT
    bits = tf.floor(tf.math.log(EXACT / STATE_UNITS / largest) / tf.math.log(tf.constant(2.0, tf.float64)))
    grid = tf.cast(tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.cast(bits, tf.int64)), tf.float64)
    return tf.cast(tf.round(weights * grid) / grid, tf.float32)


@dataclass(frozen=True)
class Cell:
    """The weights, laid out: what each character adds to the gates, and what the state gives."""

    characters: Any  # float32 [characters + 1, 4 * units]; the last row is a one-hot of zeros, no character
    fused: Any  # float32 [units, 4 * units + columns]: gates and logits in one product
    offsets: Any  # float32 [columns], columns = characters rounded up to whole vectors

    @classmethod
    def of(cls, model: keras.Model) -> Cell:
        """Laid out from the model's weights."""
        lstm, following = model.get_layer("lstm").cell, model.get_layer("next")
        spare = -following.units % VECTOR
        fused = tf.concat([lstm.recurrent_kernel, tf.pad(following.kernel, ((0, 0), (0, spare)))], axis=1)
        return cls(
            characters=tf.pad(lstm.kernel, ((0, 1), (0, 0))) + lstm.bias,
            fused=on_grid(fused) / STATE_UNITS,
            offsets=tf.pad(following.bias, ((0, spare),), constant_values=IMPOSSIBLE),
        )

    def as_constants(self) -> Cell:
        """The same in the graph that is being traced: laying out at each call took 2 ms, as much as 60 characters."""
        return Cell(*(tf.constant(np.asarray(part)) for part in (self.characters, self.fused, self.offsets)))

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.fused.shape[0])

    def empty(self, rows: Any) -> tuple[Any, Any]:
        """The state (h, c) of `rows` rows before any character; h in whole STATE_UNITS."""
        zeros = tf.zeros([rows, self.units])
        return zeros, zeros

    def look(self, h: Any) -> tuple[Any, Any]:
        """What the state gives: its part of the next gates [N, 4 * units], logits of the next character [N, columns].

        `offsets` are still to be added to the logits.
        """
        gates, logits = tf.split(tf.matmul(h, self.fused), [4 * self.units, self.offsets.shape[0]], axis=1)
        return gates, logits

    def step(self, gates: Any, c: Any, ids: Any) -> tuple[Any, Any]:
        """Read one character a row: (h, c). Hochreiter and Schmidhuber 1997 with a forget gate, as in Keras."""
        i, f, candidate, o = tf.split(gates + tf.gather(self.characters, ids), 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(candidate)
        return tf.round(tf.sigmoid(o) * tf.tanh(c) * STATE_UNITS), c
