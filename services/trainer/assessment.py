"""Pictures of a model's answers on the test split: the confusion matrix, predictions beside the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from plugins.contract import Array
from services.trainer.pictures import FAINT, INK, MARK, OURS, canvas, plain, png_of

_CLASSES_WITH_NUMBERS = 12
_CLASSES_WITH_NAMES = 50
_DARK_CELL = 0.5
_BINS = 40


def confusion_counts(targets: Array, scores: Array) -> Array:
    """How often each class (row) was taken for each class (column): int [C, C].

    `targets` are class numbers [N], `scores` [N, C].
    """
    classes = scores.shape[1]
    cells = targets.reshape(-1).astype(int) * classes + scores.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def confusion_matrix(targets: Array, scores: Array, labels: Sequence[str]) -> bytes:
    """Rows of the matrix shaded by their share: PNG."""
    counts = confusion_counts(targets, scores)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(8.0, 2.4 + 0.36 * len(labels))
    figure = canvas(side + 0.6, side)
    axes = figure.subplots()
    plain(axes, "test split: what was taken for what", "predicted", "true")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    _name_classes(axes, labels)
    if len(labels) <= _CLASSES_WITH_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > _DARK_CELL else INK if count else FAINT
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    return png_of(figure)


def _name_classes(axes: Axes, labels: Sequence[str]) -> None:
    if len(labels) > _CLASSES_WITH_NAMES:
        return
    long_names = max(map(len, labels)) > 2
    axes.set_xticks(range(len(labels)), labels, rotation=90 if long_names else 0)
    axes.set_yticks(range(len(labels)), labels)


def predicted_and_true(targets: Array, values: Array, unit: str) -> bytes:
    """Each test value beside its prediction, and the histogram of the errors: PNG. Both arrays are [N] or [N, K]."""
    true, predicted = targets.reshape(-1).astype(float), values.reshape(-1).astype(float)
    figure = canvas(9.2, 3.8)
    beside, errors = figure.subplots(1, 2)
    plain(beside, "test split: predicted beside true", f"true {unit}".strip(), f"predicted {unit}".strip())
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    beside.plot(ends, ends, color=MARK, linewidth=1, linestyle=":", label="perfect")
    beside.plot(true, predicted, "o", color=OURS, alpha=0.5, markersize=4, markeredgewidth=0)
    beside.legend(fontsize=8, frameon=False)
    residuals = predicted - true
    plain(errors, f"residuals: mean {residuals.mean():+.3g}, spread {residuals.std():.3g}", "predicted - true")
    errors.hist(residuals, bins=_BINS, color=OURS, alpha=0.8)
    errors.axvline(0, color=MARK, linewidth=1, linestyle=":")
    return png_of(figure)
