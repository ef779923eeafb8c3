from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from plugins.contract import Array
from plugins.style_transfer.losses import Goal, Weights, grams, total_loss


def test_the_total_loss_is_the_books() -> None:
    rng = np.random.default_rng(1)
    picture = rng.uniform(0, 255, (1, 6, 8, 3))
    seen, content_seen, style_seen = ([rng.normal(0, 1, (1, 6, 8, 5)) for _ in range(6)] for _ in range(3))

    def gram(features: Array) -> Array:
        rows = features.reshape(-1, features.shape[-1])
        return rows.T @ rows

    expected = 0.025 * np.sum((seen[-1] - content_seen[-1]) ** 2)
    for ours, theirs in zip(seen[:-1], style_seen[:-1], strict=True):
        expected += 1 / 5 * np.sum((gram(theirs) - gram(ours)) ** 2) / (4 * 3**2 * (6 * 8) ** 2)
    down = picture[:, :-1, :-1] - picture[:, 1:, :-1]
    right = picture[:, :-1, :-1] - picture[:, :-1, 1:]
    expected += 1e-4 * np.sum((down**2 + right**2) ** 1.25)

    def of(arrays: list[Array]) -> list[Any]:
        return [tf.constant(array, tf.float32) for array in arrays]

    goal = Goal(of(content_seen)[-1], grams(of(style_seen), picture))
    (loss,) = total_loss(tf.constant(picture, tf.float32), of(seen), goal, Weights()).numpy()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_a_piece_of_a_picture_counts_as_the_whole_would() -> None:
    piece = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    whole = np.tile(piece, (1, 2, 2, 1))

    def loss(picture: Array, weights: Weights) -> float:
        goal = Goal(0.0, [np.zeros((1, 3, 3), np.float32)])
        return float(total_loss(picture, [picture, picture], goal, weights)[0])

    weights = Weights(content=100, variation=0.0)
    assert loss(piece, weights.in_part(0.25)) == pytest.approx(loss(whole, weights), rel=1e-5)
    rough = Weights(content=0.0, style=0.0, variation=1.0)
    assert loss(piece, rough.in_part(0.25)) == pytest.approx(loss(whole, rough), rel=0.2)  # but for the seams
