"""How sure a figure is."""

from __future__ import annotations

from typing import Any

import numpy as np

from plugins.contract import OutputField
from services.trainer.heads import Head
from services.trainer.interval import bootstrap, figure_interval


def test_the_interval_of_an_accuracy_is_that_of_a_share() -> None:
    scores = np.repeat([1.0, 0.0], [900, 100])
    low, high = bootstrap(scores)
    half = 1.96 * np.sqrt(0.9 * 0.1 / 1000)  # the normal approximation, close for so many
    np.testing.assert_allclose((low, high), (0.9 - half, 0.9 + half), atol=0.003)
    assert bootstrap(scores) == (low, high)


def test_samples_that_are_all_alike_leave_no_doubt() -> None:
    assert bootstrap(np.full(50, 2.5)) == (2.5, 2.5)


def head(content: str, targets: list[Any], predictions: list[list[float]]) -> Head:
    field = OutputField(name="scores", dtype="float32", content=content)
    return Head(field, "figure", np.array(targets), np.array(predictions))


def test_a_sample_is_right_or_wrong() -> None:
    assert head("scores", [[1], [0]], [[0.2, 0.8], [0.4, 0.6]]).sample_scores().tolist() == [1.0, 0.0]


def test_or_it_is_off_by_so_much_on_the_mean_of_its_values() -> None:
    scores = head("values", [[1.0, 2.0], [0.0, 0.0]], [[2.0, 5.0], [0.0, -1.0]]).sample_scores()
    assert scores.tolist() == [2.0, 0.5]


def test_targets_without_an_axis_of_their_own_are_single_values() -> None:
    assert head("values", [1.0, 2.0], [[1.0], [5.0]]).sample_scores().tolist() == [0.0, 3.0]


def test_a_figure_that_is_no_mean_of_scores_has_no_interval() -> None:
    one = head("values", [1.0, 2.0], [[1.5], [2.5]])
    assert figure_interval(one, 0.5) == (0.5, 0.5)
    assert figure_interval(one, 0.4) is None
