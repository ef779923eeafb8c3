"""Choosing characters: what a row draws depends on its own knobs, seed and how much it has written, nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def gumbel(seed: Any, first: Any, count: Any, columns: int) -> Any:
    """Gumbel noise, float32 [count, N, columns], for characters number `first`, `first` + 1, ... of each row.

    `seed` and `first` are int64 [N]. argmax(logits + T * noise) is a draw from softmax(logits / T) (Gumbel 1954), which
    is the book's d = exp(log(p) / T) / sum(d) of listings 8.1 and 8.6; T = 0 is greedy.

    The bits are SplitMix64's (Steele, Lea and Flood 2014): a hash of a counter, so it can be entered at any position
    and chunks of any size see the same noise. The seed is hashed first: neighbours would otherwise share a stream.
    """
    number = first + tf.range(tf.cast(count, tf.int64))[:, tf.newaxis]
    start = _hash(tf.bitcast(seed, tf.uint64))
    counter = tf.cast(number[:, :, tf.newaxis] * columns + tf.range(columns, dtype=tf.int64), tf.uint64)
    bits = _hash(start[:, tf.newaxis] + counter)
    uniform = (tf.cast(tf.bitwise.right_shift(bits, _word(41)), tf.float32) + 0.5) * 2.0**-23
    return -tf.math.log(-tf.math.log(uniform))


def likely(logits: Any, temperature: Any, top_k: Any, top_p: Any) -> Any:
    """bool [N, columns]: the characters that may be drawn, by float32 logits [N, columns].

    `top_k` int32 [N]: so many of the likeliest, 0 for all (Fan, Lewis and Dauphin 2018). `top_p` float32 [N]: the
    likeliest whose chances at the temperature add up to so much (Holtzman et al. 2020, section 3.1). Both: what both
    allow. The likeliest is always allowed, and so is what is just as likely as the last that is.
    """
    columns = logits.shape[1]
    ordered = tf.sort(logits, axis=1, direction="DESCENDING")
    heat = tf.where(temperature > 0, temperature, 1.0)[:, tf.newaxis]
    above = tf.cumsum(tf.nn.softmax(ordered / heat), axis=1, exclusive=True)
    nucleus = tf.reduce_sum(tf.cast(above < top_p[:, tf.newaxis], tf.int32), axis=1)
    nucleus = tf.where(top_p < 1, nucleus, columns)  # sums of all chances round to 1 before the last
    count = tf.clip_by_value(tf.minimum(nucleus, tf.where(top_k > 0, top_k, columns)), 1, columns)
    return logits >= tf.gather(ordered, count[:, tf.newaxis] - 1, batch_dims=1)


def _hash(counter: Any) -> Any:
    """SplitMix64's output for a counter, on uint64."""
    z = (counter + _word(1)) * _word(0x9E3779B97F4A7C15)
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, _word(30))) * _word(0xBF58476D1CE4E5B9)
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, _word(27))) * _word(0x94D049BB133111EB)
    return tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, _word(31)))


def _word(value: int) -> Any:
    return tf.constant(np.uint64(value))
