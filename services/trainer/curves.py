"""Learning curves: how a run's models got better, and where they stopped to (book 3.4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from services.trainer.pictures import FAINT, INK, MARK, OURS, TRAINING, canvas, plain, png_of
from services.trainer.run_record import History, RunRecord, StageRecord

_MANY_EPOCHS = 20  # fewer are marked with a point each


def learning_curves(record: RunRecord) -> bytes | None:
    """Loss and metric by epoch, training and validation, the best epoch marked: PNG. None if nothing was trained."""
    stages = [*record.folds, *([record.final] if record.final else [])]
    names = [n for n in dict.fromkeys(("loss", record.metric.name)) if any(n in s.history for s in stages)]
    if not names:
        return None
    figure = canvas(4.6 * len(names), 3.2)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        unit = f" ({record.metric.unit})" if record.metric.unit and name == record.metric.name else ""
        plain(axes, f"{name}{unit}", "epoch")
        _draw(axes, name, record)
        axes.legend(fontsize=8, frameon=False)
    return png_of(figure)


def _draw(axes: Axes, name: str, record: RunRecord) -> None:
    if len(record.folds) > 1:
        _draw_folds(axes, name, record.folds)
    for stage in record.folds[:1] if len(record.folds) == 1 else ():
        _line(axes, stage.history.get(name, ()), TRAINING, "training")
        _line(axes, stage.history.get(f"val_{name}", ()), OURS, "validation")
    if record.final is not None and record.final.name not in {fold.name for fold in record.folds}:
        _line(axes, record.final.history.get(name, ()), INK, "published model, training", dashed=True)
    marked = mean_curve([fold.history for fold in record.folds], f"val_{name}")
    best = best_epoch_of(record)
    if best is not None and best <= len(marked):
        axes.axvline(best, color=MARK, linewidth=1, linestyle=":")
        axes.plot(best, marked[best - 1], "o", color=MARK, markersize=6, label=f"best epoch: {best}")
    _frame(axes, marked)


def _draw_folds(axes: Axes, name: str, folds: Sequence[StageRecord]) -> None:
    for fold in folds:
        _line(axes, fold.history.get(f"val_{name}", ()), FAINT, "")
    _line(axes, mean_curve([fold.history for fold in folds], name), TRAINING, "training, mean of folds")
    _line(axes, mean_curve([fold.history for fold in folds], f"val_{name}"), OURS, "validation, mean of folds")


def _line(axes: Axes, values: Sequence[float], colour: str, label: str, dashed: bool = False) -> None:
    if len(values):
        style = "--" if dashed else "-"
        marker = "." if len(values) < _MANY_EPOCHS else ""
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, values, style, marker=marker, color=colour, linewidth=1.5, label=label or "_")


def _frame(axes: Axes, values: Sequence[float]) -> None:
    """Whole epochs; a first epoch that is far off must not flatten the rest (book 3.6.4 leaves ten points out)."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(values) >= _MANY_EPOCHS:
        low, high = np.nanpercentile(values, [0, 95])
        margin = max(high - low, 1e-9) * 0.3
        axes.set_ylim(low - margin, high + 2 * margin)


def mean_curve(histories: Sequence[History], name: str) -> list[float]:
    """A figure's mean over several models, epoch by epoch, as far as all of them went."""
    curves = [history[name] for history in histories if name in history]
    shortest = min(map(len, curves), default=0)
    return [float(np.mean([curve[epoch] for curve in curves])) for epoch in range(shortest)]


def best_epoch_of(record: RunRecord) -> int | None:
    """The epoch that validated best, counted from 1; None before anything was."""
    return record.final.best_epoch if record.folds and record.final is not None else None
