"""How good a classifier's scores are at every threshold, how far they can be believed, and class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugins.contract import Array

BINS = 15  # of a reliability diagram, as in the tables of Guo et al. 2017
_PLACES = np.linspace(0, 1, 201)  # where averaged curves have points


@dataclass(frozen=True)
class Curve:
    """Points from left to right, both axes from 0 to 1; `stepped`: each height reaches back to the point before."""

    across: Array  # float64 [P]
    up: Array  # float64 [P]
    stepped: bool = False

    @property
    def area(self) -> float:
        """Below the curve."""
        widths = np.diff(self.across)
        return float(widths @ (self.up[1:] if self.stepped else (self.up[1:] + self.up[:-1]) / 2))

    def at(self, places: Array) -> Array:
        """Heights [Q] at these places."""
        if self.stepped:
            return self.up[np.searchsorted(self.across, places)]
        return np.interp(places, self.across, self.up)


def roc(positive: Array, scores: Array) -> Curve:
    """False positive rate across, true positive rate up, a point a distinct score (Fawcett 2006, algorithm 1).

    `positive` bool [N], both kinds among them; `scores` [N]. The area is the chance that a positive scores higher than
    a negative, ties counting half (Hanley and McNeil 1982).
    """
    hits, false_alarms = _counts(positive, scores)
    return Curve(false_alarms / false_alarms[-1], hits / hits[-1])


def precision_recall(positive: Array, scores: Array) -> Curve:
    """Recall across, precision up, a point a distinct score; `positive` bool [N], some of them, and `scores` [N].

    The area is the average precision, sum of (R_n - R_{n-1}) P_n: precision is not linear between two points (Davis and
    Goadrich 2006).
    """
    hits, false_alarms = _counts(positive, scores)
    precision = hits[1:] / (hits + false_alarms)[1:]
    return Curve(hits / hits[-1], np.concatenate([precision[:1], precision]), stepped=True)


def _counts(positive: Array, scores: Array) -> tuple[Array, Array]:
    """Positives and negatives at or above each distinct score, the highest first; both begin with none."""
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[last_of_score]
    return np.append(0, hits), np.append(0, last_of_score + 1 - hits)


def mean_of(curves: Sequence[Curve]) -> Curve:
    """The mean height of several curves, place by place (Fawcett 2006, vertical averaging)."""
    return Curve(_PLACES, np.mean([curve.at(_PLACES) for curve in curves], axis=0), curves[0].stepped)


@dataclass(frozen=True)
class Reliability:
    """Samples by how sure their answer was: bin m holds the highest scores in ((m - 1) / BINS, m / BINS]."""

    count: Array  # int64 [BINS]
    confidence: Array  # float64 [BINS], the mean highest score; 0 in an empty bin
    accuracy: Array  # float64 [BINS], the share of right answers; 0 in an empty bin

    @property
    def error(self) -> float:
        """The expected calibration error: mean |accuracy - confidence| by sample (Guo et al. 2017, equation 5)."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))


def reliability(targets: Array, scores: Array) -> Reliability:
    """How sure and how often right the answers are (Guo et al. 2017, section 2); class numbers [N], scores [N, C]."""
    highest = scores.max(axis=1).astype(np.float64)
    right = scores.argmax(axis=1) == targets.reshape(-1)
    bins = np.clip(np.ceil(highest * BINS).astype(np.int64) - 1, 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, weights=values, minlength=BINS) for values in (highest, right)]
    confidence, accuracy = (total / np.maximum(count, 1) for total in sums)
    return Reliability(count, confidence, accuracy)


@dataclass(frozen=True)
class ClassRates:
    """One class: how often the answer is right when it is given, and when it should be; None where there is no such."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int  # samples of the class


def class_rates(counts: Array) -> list[ClassRates]:
    """Of each class, from a confusion matrix [C, C], rows the right class.

    F1 is the harmonic mean of precision and recall (van Rijsbergen 1979), 2 TP / (2 TP + FP + FN).
    """
    rates = []
    for number, support in enumerate(counts.sum(axis=1)):
        right, answered = counts[number, number], counts[:, number].sum()
        shares = _share(right, answered), _share(right, support), _share(2 * right, answered + support)
        rates.append(ClassRates(*shares, int(support)))
    return rates


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
