"""The trained model's answers on the test split, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from plugins.contract import Array
from services.trainer.report.drawing import BLUE, INK, MUTED, ORANGE, PAPER, RED, new_figure, style, to_png

_MOST_NUMBERED = 20  # classes; a larger matrix shows colours only
_RIGHT = LinearSegmentedColormap.from_list("right", ["#ffffff", "#b9d0f7"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#ffffff", "#f3b7a5", RED])


def confusion_matrix(targets: Array, scores: Array) -> Array:
    """Counts int64 [C, C]: row the right class, column the class with the highest score."""
    classes = scores.shape[1]
    places = targets.reshape(-1).astype(np.int64) * classes + scores.argmax(axis=1)
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def draw_confusion(targets: Array, scores: Array, labels: Sequence[str]) -> bytes:
    """PNG of the confusion matrix: right answers on a blue diagonal, mistakes red, the more the redder."""
    counts = confusion_matrix(targets, scores)
    size = len(counts)
    numbered = size <= _MOST_NUMBERED
    figure = new_figure(6.4, 5.8)
    axes = figure.add_subplot()
    style(axes, "", "the model's answer", "the right answer")
    axes.grid(False)
    right = np.eye(size, dtype=bool)
    axes.imshow(np.ma.masked_array(counts, ~right), cmap=_RIGHT, vmin=0)
    axes.imshow(np.ma.masked_array(counts, right), cmap=_WRONG, vmin=0)
    if numbered:
        axes.set_xticks(range(size), labels, rotation=90 if max(map(len, labels)) > 4 else 0)
        axes.set_yticks(range(size), labels)
        for row, column in np.argwhere(counts > 0):
            axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=8, color=INK)
    return to_png(figure)


def draw_residuals(targets: Array, values: Array, unit: str) -> bytes:
    """PNG: predicted against true, and how the errors (predicted - true) are spread."""
    truth, predicted = targets.reshape(-1), values.reshape(-1)
    figure = new_figure(9.2, 4.0)
    left, right = figure.subplots(1, 2)
    _scatter(left, truth, predicted, unit)
    errors = predicted - truth
    style(right, "Errors", f"predicted - true, {unit}" if unit else "predicted - true", "samples")
    right.hist(errors, bins=min(40, max(10, len(errors) // 5)), color=BLUE, alpha=0.85)
    right.axvline(0, color=MUTED, linewidth=1)
    right.axvline(np.median(errors), color=ORANGE, linewidth=1.5, label=f"median {np.median(errors):+.3g}")
    right.legend(frameon=False, fontsize=8, labelcolor=INK)
    return to_png(figure)


def _scatter(axes: Any, truth: Array, predicted: Array, unit: str) -> None:
    style(axes, "Predicted and true", f"true, {unit}" if unit else "true", "predicted")
    span = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    axes.plot(span, span, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    few = len(truth) <= 2000
    axes.scatter(truth, predicted, s=16 if few else 4, color=BLUE, alpha=0.6 if few else 0.2, edgecolors=PAPER, lw=0.3)
