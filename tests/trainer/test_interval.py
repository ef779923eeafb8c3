"""How sure a figure is."""

from __future__ import annotations

import numpy as np

from plugins.contract import Task
from services.trainer.interval import bootstrap, figure_interval, sample_scores


def test_the_interval_of_an_accuracy_is_that_of_a_share() -> None:
    scores = np.repeat([1.0, 0.0], [900, 100])
    low, high = bootstrap(scores)
    half = 1.96 * np.sqrt(0.9 * 0.1 / 1000)  # the normal approximation, close for so many
    np.testing.assert_allclose((low, high), (0.9 - half, 0.9 + half), atol=0.003)
    assert bootstrap(scores) == (low, high)


def test_samples_that_are_all_alike_leave_no_doubt() -> None:
    assert bootstrap(np.full(50, 2.5)) == (2.5, 2.5)


def test_a_sample_is_right_or_wrong() -> None:
    name, scores = sample_scores(Task.CLASSIFY, np.array([[1], [0]]), np.array([[0.2, 0.8], [0.4, 0.6]]))
    assert (name, scores.tolist()) == ("accuracy", [1.0, 0.0])


def test_or_it_is_off_by_so_much_on_the_mean_of_its_values() -> None:
    name, scores = sample_scores(Task.REGRESS, np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[2.0, 5.0], [0.0, -1.0]]))
    assert (name, scores.tolist()) == ("mae", [2.0, 0.5])


def test_targets_without_an_axis_of_their_own_are_single_values() -> None:
    assert sample_scores(Task.REGRESS, np.array([1.0, 2.0]), np.array([[1.0], [5.0]]))[1].tolist() == [0.0, 3.0]


def test_a_figure_that_is_no_mean_of_scores_has_no_interval() -> None:
    targets, predictions = np.array([1.0, 2.0]), np.array([[1.5], [2.5]])
    assert figure_interval(Task.REGRESS, {"mae": 0.5}, targets, predictions) == (0.5, 0.5)
    assert figure_interval(Task.REGRESS, {"mae": 0.4}, targets, predictions) is None
    assert figure_interval(Task.REGRESS, {"loss": 0.5}, targets, predictions) is None
