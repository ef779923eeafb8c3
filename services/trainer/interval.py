"""How sure a figure is: the percentile bootstrap over the test samples (Efron 1979)."""

from __future__ import annotations

import numpy as np

from plugins.contract import Array
from services.trainer.heads import Head

Interval = tuple[float, float]
RESAMPLES = 1000
_TAILS = (0.025, 0.975)


def figure_interval(head: Head, value: float) -> Interval | None:
    """The 95 % interval of a head's figure, which is `value`.

    None where the mean of the samples' scores is not the figure, so that nothing can be said of it.
    """
    scores = head.sample_scores()
    return bootstrap(scores) if np.isclose(scores.mean(), value, rtol=1e-3, atol=1e-6) else None


def bootstrap(scores: Array) -> Interval:
    """Where 95 % of the means of RESAMPLES samples lie, each drawn from `scores` [N] with replacement, always alike."""
    random = np.random.default_rng(0)
    means = [scores[random.integers(0, len(scores), len(scores))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, _TAILS)
    return float(low), float(high)
