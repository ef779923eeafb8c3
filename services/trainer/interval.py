"""How sure a figure is: the percentile bootstrap over the test samples (Efron 1979)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plugins.contract import Array
from services.core.card import Task

Interval = tuple[float, float]
RESAMPLES = 1000
_TAILS = (0.025, 0.975)


def figure_interval(task: Task, metrics: Mapping[str, float], targets: Array, predictions: Array) -> Interval | None:
    """The 95 % interval of the accuracy or mae among `metrics`; `predictions` are scores [N, C] or values [N, K].

    None where the mean of the samples' scores is not the figure, so that nothing can be said of it.
    """
    name, scores = sample_scores(task, targets, predictions)
    if name not in metrics or not np.isclose(scores.mean(), metrics[name], rtol=1e-3, atol=1e-6):
        return None
    return bootstrap(scores)


def sample_scores(task: Task, targets: Array, predictions: Array) -> tuple[str, Array]:
    """What each sample adds to the figure [N], and the figure's name: 1 or 0 for right or wrong, or the error."""
    if task is Task.CLASSIFY:
        return "accuracy", (predictions.argmax(axis=1) == targets.reshape(-1)).astype(np.float64)
    errors = np.abs(predictions.astype(np.float64) - targets.reshape(predictions.shape))
    return "mae", errors.mean(axis=1)


def bootstrap(scores: Array) -> Interval:
    """Where 95 % of the means of RESAMPLES samples lie, each drawn from `scores` [N] with replacement, always alike."""
    random = np.random.default_rng(0)
    means = [scores[random.integers(0, len(scores), len(scores))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, _TAILS)
    return float(low), float(high)
