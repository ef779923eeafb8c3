"""The trained convnet written out by hand for serving: each layer remembers what it gave, so a token costs one column.

Sums are exact as in cell.py: what a layer gives is below 1, and rounded. Only the window of tokens travels with a
client; what the layers gave for it is worked out anew at the start of a call, to the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from plugins.nietzsche.cell import STATE_UNITS, following, on_grid
from plugins.nietzsche.memory import State, slid, window_field

TAPS = 4  # tokens, or columns of the layer below, that one column sees
DILATIONS = (1, 4, 16)  # how far these are from each other, by layer
RECEPTIVE = 1 + (TAPS - 1) * sum(DILATIONS)  # tokens that a prediction can depend on: 64


@dataclass(frozen=True)
class Layer:
    """One gated causal convolution above the first: what its taps add, oldest first."""

    kernel: Any  # float32 [TAPS * units, 2 * units], per STATE_UNITS
    bias: Any  # float32 [2 * units]
    dilation: int


@dataclass(frozen=True)
class Convolutions:
    """The memory of `conv1d`: the last tokens."""

    reads: Any  # float32 [TAPS, tokens + 1, 2 * units]: what a token adds to the first layer; the last row is no token
    bias: Any  # float32 [2 * units]
    layers: Sequence[Layer]
    fused: Any  # float32 [units, columns]
    offsets: Any  # float32 [columns]

    width = RECEPTIVE
    fields = (window_field(RECEPTIVE),)

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """Laid out from the layers `filter_1`, `gate_1`, ..."""
        first, *above = (_gated(model, number) for number in range(1, len(DILATIONS) + 1))
        embedded = [layer.embeddings for layer in model.layers if layer.name == "embedding"]
        kernel = tf.einsum("ne,tef->tnf", embedded[0], first[0]) if embedded else first[0]
        layers = [
            Layer(on_grid(tf.reshape(kernel, [-1, kernel.shape[-1]])) / STATE_UNITS, bias, dilation)
            for (kernel, bias), dilation in zip(above, DILATIONS[1:], strict=True)
        ]
        weights, offsets = following(model)
        reads = tf.pad(kernel, ((0, 0), (0, 1), (0, 0)))
        return cls(reads, first[1], layers, on_grid(weights) / STATE_UNITS, offsets)

    def in_graph(self) -> Self:
        """With the weights as constants."""
        layers = [replace(one, kernel=_constant(one.kernel), bias=_constant(one.bias)) for one in self.layers]
        weights = {name: _constant(getattr(self, name)) for name in ("reads", "bias", "fused", "offsets")}
        return replace(self, layers=layers, **weights)

    def begin(self, ids: Any, lengths: Any) -> State:
        """The prompt's last tokens."""
        return (ids,)

    def enter(self, state: State, longest: Any) -> State:
        """The window, how many columns there are, the highest layer's last, and all of each layer below."""
        columns = self._columns(tf.clip_by_value(state[0], 0, self.reads.shape[1] - 1))
        histories = [self._history(below, longest) for below in columns[:-1]]
        return state[0], tf.constant(self.width), columns[-1][:, -1], *histories

    def look(self, carried: State) -> tuple[Any, Any]:
        """One small product."""
        return (), tf.matmul(carried[2], self.fused)

    def append(self, seen: Any, carried: State, ids: Any, going: Any) -> State:
        """One column of each layer."""
        window, place, _, *histories = carried
        recent = tf.concat([window[:, 1 - TAPS :], ids[:, tf.newaxis]], axis=1)
        top = _gate(self._first([recent[:, tap] for tap in range(TAPS)]))
        after = []
        for layer, history in zip(self.layers, histories, strict=True):
            taps = [history.read(place - layer.dilation * back) for back in range(TAPS - 1, 0, -1)]
            after.append(history.write(place, top))
            top = _gate(tf.matmul(tf.concat([*taps, top], axis=1), layer.kernel) + layer.bias)
        return slid(window, ids, going), place + 1, top, *after

    def leave(self, carried: State) -> State:
        """The window."""
        return (carried[0],)

    def _history(self, columns: Any, longest: Any) -> Any:
        """A TensorArray of [N, units], with room for `longest` more."""
        shape = columns[:, 0].shape
        history = tf.TensorArray(tf.float32, self.width + longest, element_shape=shape, clear_after_read=False)
        return history.scatter(tf.range(self.width), tf.transpose(columns, (1, 0, 2)))

    def _first(self, taps: Sequence[Any]) -> Any:
        """Of numbers, int32 [...] a tap."""
        total = self.bias
        for kernel, ids in zip(tf.unstack(self.reads), taps, strict=True):
            total = total + tf.gather(kernel, ids)
        return total

    def _columns(self, ids: Any) -> list[Any]:
        """What each layer gives for a window, float32 [N, width, units]; zeros before the text, as Keras pads."""
        none = self.reads.shape[1] - 1
        there = tf.cast(ids < none, tf.float32)[:, :, tf.newaxis]
        padded = tf.pad(ids, ((0, 0), (TAPS - 1, 0)), constant_values=none)
        columns = [_gate(self._first([padded[:, tap : tap + self.width] for tap in range(TAPS)])) * there]
        for layer in self.layers:
            padded = tf.pad(columns[-1], ((0, 0), ((TAPS - 1) * layer.dilation, 0), (0, 0)))
            taps = [padded[:, tap * layer.dilation :][:, : self.width] for tap in range(TAPS)]
            total = tf.tensordot(tf.concat(taps, axis=2), layer.kernel, 1) + layer.bias
            columns.append(_gate(total) * there)
        return columns


def _gated(model: keras.Model, number: int) -> tuple[Any, Any]:
    """Kernel [TAPS, inputs, 2 * units] and bias [2 * units] of a layer: filter, then gate."""
    pair = [model.get_layer(f"{name}_{number}") for name in ("filter", "gate")]
    return tf.concat([one.kernel for one in pair], axis=-1), tf.concat([one.bias for one in pair], axis=-1)


def _gate(total: Any) -> Any:
    """tanh(filter) * sigmoid(gate), in whole STATE_UNITS."""
    chosen, gate = tf.split(total, 2, axis=-1)
    return tf.round(tf.tanh(chosen) * tf.sigmoid(gate) * STATE_UNITS)


def _constant(weights: Any) -> Any:
    return tf.constant(np.asarray(weights))
