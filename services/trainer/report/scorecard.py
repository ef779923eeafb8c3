"""A classifier's scores in the report: curves over all thresholds, a reliability diagram and a table by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.contract import Array
from services.trainer.report.answers import confusion_matrix
from services.trainer.report.drawing import BLUE, INK, MUTED, ORANGE, RED, new_figure, style, to_png
from services.trainer.report.rates import (
    BINS,
    ClassRates,
    Curve,
    Reliability,
    class_rates,
    mean_of,
    precision_recall,
    reliability,
    roc,
)

_CLASS_COLOURS = (ORANGE, RED, MUTED, INK)  # no more classes have a curve of their own
_PALE_BLUE = "#b9d0f7"
_MOST_OFF = 1e-3  # of the sum of a row's scores from 1, if they are chances
Curves = Mapping[str, Curve]  # by label


@dataclass(frozen=True)
class Scorecard:
    """What a head's scores on the test split are worth; no picture where neither curve nor diagram has a meaning."""

    picture: bytes | None
    said: str
    classes: Mapping[str, ClassRates]  # by label; those that occur or are answered


def scorecard(targets: Array, scores: Array, labels: Sequence[str]) -> Scorecard:
    """Of class numbers [N] or [N, 1] and scores [N, C]. Two classes have one curve, that of the second."""
    rates = zip(labels, class_rates(confusion_matrix(targets, scores)), strict=True)
    classes = {label: rate for label, rate in rates if rate.f1 is not None}
    ranked = _curves(roc, targets, scores, labels)
    found = _curves(precision_recall, targets, scores, labels)
    sure = reliability(targets, scores) if _are_chances(scores) else None
    said = [_areas(ranked, found)] if ranked else []
    said += [_calibration(sure)] if sure is not None else []
    picture = _draw(ranked, found, sure) if said else None
    return Scorecard(picture, " ".join(said), classes)


def _are_chances(scores: Array) -> bool:
    return bool((scores >= 0).all() and (np.abs(scores.sum(axis=1) - 1) <= _MOST_OFF).all())


def _curves(kind: Callable[[Array, Array], Curve], targets: Array, scores: Array, labels: Sequence[str]) -> Curves:
    """One class against the rest, for each that some samples are of and some are not; none for scores that diverged."""
    right = targets.reshape(-1)
    if not np.isfinite(scores).all():
        return {}
    asked = range(1, 2) if len(labels) == 2 else range(len(labels))
    return {labels[n]: kind(right == n, scores[:, n]) for n in asked if 0 < np.sum(right == n) < len(right)}


def _mean_area(curves: Curves) -> float:
    return float(np.mean([curve.area for curve in curves.values()]))


def _areas(ranked: Curves, found: Curves) -> str:
    areas = f"ROC AUC {_mean_area(ranked):.4g}, average precision {_mean_area(found):.4g}"
    if len(ranked) == 1:
        return f"{areas}, for {next(iter(ranked))}."
    few = "" if len(ranked) <= len(_CLASS_COLOURS) else f" and the {len(_CLASS_COLOURS)} classes with the smallest area"
    return f"{areas}: each class against the rest, mean of {len(ranked)} classes. Drawn are the mean{few}."


def _calibration(sure: Reliability) -> str:
    mean = [float(np.average(values, weights=sure.count)) for values in (sure.confidence, sure.accuracy)]
    kind = "too sure" if mean[0] > mean[1] else "not sure enough"
    return (
        f"Expected calibration error {sure.error:.3g} ({BINS} bins): on the whole the model is {kind}, "
        f"{100 * mean[0]:.1f} % sure where {100 * mean[1]:.1f} % are right."
    )


def _draw(ranked: Curves, found: Curves, sure: Reliability | None) -> bytes:
    """PNG: ROC, precision and recall, reliability, as far as there are such, side by side."""
    panels: list[Callable[[Any], None]] = []
    if ranked:
        panels.append(lambda axes: _draw_roc(axes, ranked))
        panels.append(lambda axes: _draw_found(axes, found))
    if sure is not None:
        panels.append(lambda axes: _draw_reliability(axes, sure))
    figure = new_figure(3.8 * len(panels), 3.8)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), number + 1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        panel(axes)
    return to_png(figure)


def _draw_roc(axes: Any, curves: Curves) -> None:
    style(axes, "ROC", "false positive rate", "true positive rate")
    _draw_diagonal(axes)
    _draw_curves(axes, curves, "AUC", "lower right")


def _draw_found(axes: Any, curves: Curves) -> None:
    style(axes, "Precision and recall", "recall", "precision")
    _draw_curves(axes, curves, "average precision", "lower left")


def _draw_curves(axes: Any, curves: Curves, area: str, corner: str) -> None:
    """The only one, or the mean thick and the worst classes thin."""
    if len(curves) == 1:
        ((label, curve),) = curves.items()
        _draw_curve(axes, curve, color=BLUE, linewidth=2, label=f"{label}: {area} {curve.area:.3f}")
    else:
        worst = sorted(curves.items(), key=lambda item: item[1].area)[: len(_CLASS_COLOURS)]
        for (label, curve), colour in zip(worst, _CLASS_COLOURS, strict=False):
            _draw_curve(axes, curve, color=colour, linewidth=1, label=f"{label}: {curve.area:.3f}")
        mean = mean_of(list(curves.values()))
        label = f"mean {area} {_mean_area(curves):.3f}"
        _draw_curve(axes, mean, color=BLUE, linewidth=2, label=label)
    axes.legend(loc=corner, frameon=False, fontsize=8, labelcolor=INK)


def _draw_curve(axes: Any, curve: Curve, **look: Any) -> None:
    axes.plot(curve.across, curve.up, drawstyle="steps-pre" if curve.stepped else "default", **look)


def _draw_reliability(axes: Any, sure: Reliability) -> None:
    style(axes, "Reliability", "score of the answer", "share of right answers")
    filled = sure.count > 0
    edges = np.arange(BINS + 1) / BINS
    axes.bar(edges[:-1][filled], sure.accuracy[filled], 1 / BINS, align="edge", color=_PALE_BLUE, edgecolor="white")
    _draw_diagonal(axes)
    axes.stairs(sure.count / sure.count.sum(), edges, color=ORANGE, label="share of samples")
    axes.plot(sure.confidence[filled], sure.accuracy[filled], "o", color=BLUE, ms=4, label="right answers")
    axes.legend(loc="upper left", frameon=False, fontsize=8, labelcolor=INK)


def _draw_diagonal(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
