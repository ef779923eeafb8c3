"""The trained LSTM or GRU written out by hand for serving: one matrix product a token, the same bits in any batch.

A floating-point sum depends on the order of its terms, and matrix kernels change that order with the number of rows: a
text would differ, once in a while, with the company its request is served in. Here the state is rounded to multiples
of 2**-9 and each weight to a multiple of a power of two just coarse enough that the sum of every column stays below
2**24 of its units. Such sums are exact in float32, so their order does not matter. (README: what it costs in nats.)
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf

STATE_UNITS = 2.0**9  # what a product reads is counted in units of 1 / STATE_UNITS
EXACT = 2.0**24  # float32 holds every whole number up to here
# Vector and scalar kernels of exp and log differ in the last bit: whole vectors only.
VECTOR = 16
IMPOSSIBLE = -1e9


def on_grid(weights: Any) -> Any:
    """float32 [inputs, columns], rounded so that sums of |input| <= 1 times a column are exact."""
    weights = tf.cast(weights, tf.float64)
    largest = tf.reduce_sum(tf.abs(weights), axis=0) + tf.cast(tf.shape(weights)[0], tf.float64) / EXACT
    bits = tf.floor(tf.math.log(EXACT / STATE_UNITS / largest) / tf.math.log(tf.constant(2.0, tf.float64)))
    grid = tf.cast(tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.cast(bits, tf.int64)), tf.float64)
    return tf.cast(tf.round(weights * grid) / grid, tf.float32)


def following(model: keras.Model) -> tuple[Any, Any]:
    """Weights and offsets of the last layer, columns rounded up to whole vectors; what is never written is impossible.

    float32 [units, columns] and [columns].
    """
    layer, kept = model.get_layer("next"), model.get_layer("tokens").kept
    spare = ((0, -layer.units % VECTOR),)
    may = np.full(layer.units, IMPOSSIBLE, np.float32)
    may[kept] = 0
    return tf.pad(layer.kernel, ((0, 0), *spare)), tf.pad(layer.bias + may, spare, constant_values=IMPOSSIBLE)


@dataclass(frozen=True)
class Cell:
    """The weights, laid out: what each token adds to the gates, and what the state gives."""

    reads: Any  # float32 [tokens + 1, gates]; the last row is of no token
    fused: Any  # float32 [units, gates + columns]: gates and logits in one product
    offsets: Any  # float32 [columns], columns = tokens rounded up to whole vectors

    names: ClassVar[tuple[str, ...]]  # of the tensors of the state, float32 [N, units] each

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """Laid out from the model's weights."""
        raise NotImplementedError

    def step(self, gates: Any, state: Any, ids: Any) -> tuple[Any, ...]:
        """The state after one more token a row, int32 [N]."""
        raise NotImplementedError

    def counted(self, state: Any) -> Any:
        """What the product reads, in whole STATE_UNITS."""
        return state[0]

    def in_graph(self) -> Self:
        """The same in the graph that is being traced: laying out at each call took 2 ms, as much as 60 characters."""
        return replace(self, **{one.name: tf.constant(np.asarray(getattr(self, one.name))) for one in fields(self)})

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.fused.shape[0])

    def empty(self, rows: Any) -> tuple[Any, ...]:
        """The state of `rows` rows before any token."""
        return (tf.zeros([rows, self.units]),) * len(self.names)

    def look(self, state: Any) -> tuple[Any, Any]:
        """What the state gives: its part of the next gates [N, gates], logits of the next token [N, columns].

        `offsets` are still to be added to the logits.
        """
        product = tf.matmul(self.counted(state), self.fused)
        gates, logits = tf.split(product, [self.reads.shape[1], self.offsets.shape[0]], axis=1)
        return gates, logits


def _laid_out(model: keras.Model, cell: Any, bias: Any) -> tuple[Any, Any, Any]:
    """`reads`, `fused` and `offsets`. Words come through an embedding, characters as one-hot rows."""
    embedded = [layer.embeddings for layer in model.layers if layer.name == "embedding"]
    kernel = tf.matmul(embedded[0], cell.kernel) if embedded else tf.convert_to_tensor(cell.kernel)
    weights, offsets = following(model)
    fused = on_grid(tf.concat([cell.recurrent_kernel, weights], axis=1)) / STATE_UNITS
    return tf.pad(kernel, ((0, 1), (0, 0))) + bias, fused, offsets


@dataclass(frozen=True)
class Lstm(Cell):
    """Hochreiter and Schmidhuber 1997 with a forget gate, as in Keras. The state is h, in whole STATE_UNITS, and c."""

    names = ("h", "c")

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """From the layer `lstm`."""
        cell = model.get_layer("lstm").cell
        return cls(*_laid_out(model, cell, cell.bias))

    def step(self, gates: Any, state: Any, ids: Any) -> tuple[Any, ...]:
        """Read one token a row."""
        i, f, candidate, o = tf.split(gates + tf.gather(self.reads, ids), 4, axis=1)
        c = tf.sigmoid(f) * state[1] + tf.sigmoid(i) * tf.tanh(candidate)
        return tf.round(tf.sigmoid(o) * tf.tanh(c) * STATE_UNITS), c


@dataclass(frozen=True)
class Gru(Cell):
    """Cho et al. 2014 with the reset gate after the product, as in Keras. The state is h.

    It is rounded where it is read only: what the gates keep of it from token to token would else be too small to count.
    """

    reset: Any  # float32 [units]: what the product lacks where it is reset

    names = ("h",)

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """From the layer `gru`."""
        cell = model.get_layer("gru").cell
        bias, recurrent = cell.bias[0], cell.bias[1]
        gates = tf.concat([recurrent[: -cell.units], tf.zeros(cell.units)], axis=0)
        return cls(*_laid_out(model, cell, bias + gates), tf.convert_to_tensor(recurrent[-cell.units :]))

    def counted(self, state: Any) -> Any:
        """h, rounded."""
        return tf.round(state[0] * STATE_UNITS)

    def step(self, gates: Any, state: Any, ids: Any) -> tuple[Any, ...]:
        """Read one token a row."""
        z, r, candidate = tf.split(gates, 3, axis=1)
        of_z, of_r, of_candidate = tf.split(tf.gather(self.reads, ids), 3, axis=1)
        z, r = tf.sigmoid(z + of_z), tf.sigmoid(r + of_r)
        return (z * state[0] + (1 - z) * tf.tanh(of_candidate + r * (candidate + self.reset)),)
