"""Tokens are drawn from the softmax, at every temperature, from those only that may be drawn."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from plugins.nietzsche.sampling import gumbel, likely


def test_the_noise_draws_from_the_softmax_at_every_temperature() -> None:
    # The book's check: p = (0.5, 0.3, 0.2) at T = 0.2, 0.5, 1.0, 1.2.
    expected = {
        0.2: (0.919118, 0.071471, 0.009412),
        0.5: (0.657895, 0.236842, 0.105263),
        1.0: (0.5, 0.3, 0.2),
        1.2: (0.471850, 0.308269, 0.219881),
    }
    noise = gumbel(tf.range(100, dtype=tf.int64), tf.zeros(100, tf.int64), 500, 16).numpy()[..., :3]
    for temperature, chances in expected.items():
        drawn = np.argmax(np.log([0.5, 0.3, 0.2]) + temperature * noise, axis=-1)
        np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, chances, atol=0.008)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "allowed"),
    [
        (1, 0, 1.0, [1, 1, 1, 1]),
        (1, 2, 1.0, [1, 0, 1, 0]),
        (1, 0, 0.79, [1, 0, 1, 0]),
        (1, 0, 0.81, [1, 0, 1, 1]),
        (1, 1, 0.81, [1, 0, 0, 0]),
        (1, 9, 0.0, [1, 0, 0, 0]),
        (0.2, 0, 0.9, [1, 0, 0, 0]),  # 0.5 against 0.3, each to the fifth: 0.93 of all
        (0, 3, 0.9, [1, 0, 1, 1]),
    ],
)
def test_only_the_likeliest_are_drawn_from(temperature: float, top_k: int, top_p: float, allowed: list[int]) -> None:
    logits = np.log(np.array([[0.5, 0.05, 0.3, 0.15]], np.float32))
    found = likely(logits, *(tf.constant([knob]) for knob in (float(temperature), top_k, top_p)))
    assert found.numpy().tolist() == [list(map(bool, allowed))]


def test_who_does_not_ask_draws_from_all_however_unlikely() -> None:
    logits = tf.constant(np.random.default_rng(1).normal(0, 8, (500, 64)), tf.float32)
    assert likely(logits, tf.ones(500), tf.zeros(500, tf.int32), tf.ones(500)).numpy().all()


def test_noise_can_be_entered_anywhere() -> None:
    seeds = tf.constant([0, 1, -1, 2**62], tf.int64)
    whole = gumbel(seeds, tf.zeros(4, tf.int64), 20, 16).numpy()
    later = gumbel(seeds, tf.constant([0, 3, 7, 13], tf.int64), 7, 16).numpy()
    for row, first in enumerate((0, 3, 7, 13)):
        np.testing.assert_array_equal(later[:, row], whole[first : first + 7, row])
    assert np.unique(whole).size > 0.99 * whole.size
