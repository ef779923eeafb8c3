"""The figures of a run, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from services.trainer.report.drawing import BLUE, INK, MUTED, ORANGE, new_figure, style, to_png
from services.trainer.run_record import History, RunRecord, StageRecord

DROPPED = 10  # epochs at the start, whose figures are so bad that the others could not be told apart
_KEPT_SHARE = 0.9  # of a smoothed curve's last point in its next one
_WIDE_RANGE = 20.0  # a loss that falls by more than this is drawn on a logarithmic axis


def draw_curves(record: RunRecord) -> bytes:
    """PNG: one chart a figure; training and validation, each fold thin, their mean thick, the best epoch marked."""
    stages = record.folds or ((record.final,) if record.final else ())
    names = _names(record, stages)
    figure = new_figure(4.6 * max(1, len(names)), 3.2)
    for number, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), number + 1)
        style(axes, name, "epoch")
        _draw(axes, f"{name}", stages, BLUE, "training")
        _draw(axes, f"val_{name}", stages, ORANGE, "validation")
        if record.final is not None and record.folds:
            _mark(axes, record.final.best_epoch)
        _scale(axes, [value for stage in stages for value in stage.history[name]])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return to_png(figure)


def draw_smoothed(record: RunRecord) -> bytes | None:
    """PNG of the validated figure as it is easier to read (book 3.6.4); None where no more than 20 epochs were run.

    Each fold thin, their mean thick. The axis keeps the true epochs; listing 3.31 counts the points left from 1.
    """
    name = f"val_{record.metric.name}"
    mean = mean_curve([fold.history for fold in record.folds], name)
    if len(mean) <= 2 * DROPPED:
        return None
    figure = new_figure(9.2, 3.2)
    axes = figure.add_subplot()
    style(axes, f"{record.metric.name}, smoothed", "epoch")
    several = len(record.folds) > 1
    for curve in [fold.history[name] for fold in record.folds] if several else ():
        _draw_smooth(axes, curve, color=ORANGE, linewidth=0.7, alpha=0.35)
    label = "validation, mean of the folds" if several else "validation"
    _draw_smooth(axes, mean, color=ORANGE, linewidth=2, label=label)
    if record.final is not None:
        _mark(axes, record.final.best_epoch)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return to_png(figure)


def _draw_smooth(axes: Any, curve: Sequence[float], **look: Any) -> None:
    axes.plot(range(DROPPED + 1, len(curve) + 1), smoothed(curve), **look)


def smoothed(curve: Sequence[float]) -> list[float]:
    """From the point after the dropped ones: the exponential moving average of the points so far (listing 3.31)."""
    return list(accumulate(curve[DROPPED:], lambda last, point: last * _KEPT_SHARE + point * (1 - _KEPT_SHARE)))


def _names(record: RunRecord, stages: Sequence[StageRecord]) -> list[str]:
    """The loss and what the run is judged by first; not the learning rate."""
    shown = [name for name in (stages[0].history if stages else ()) if not name.startswith(("val_", "learning_rate"))]
    return sorted(shown, key=lambda name: (name != "loss", name != record.metric.name))[:4]


def _draw(axes: Any, name: str, stages: Sequence[StageRecord], colour: str, label: str) -> None:
    curves = [stage.history[name] for stage in stages if name in stage.history]
    if not curves:
        return
    if len(curves) > 1:
        for curve in curves:
            axes.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=0.7, alpha=0.35)
        curves = [tuple(mean_curve([stage.history for stage in stages], name))]
        label = f"{label}, mean of the folds"
    epochs = range(1, len(curves[0]) + 1)
    axes.plot(
        epochs, curves[0], color=colour, linewidth=2, label=label, marker="o" if len(epochs) <= 20 else None, ms=4
    )


def mean_curve(histories: Sequence[History], name: str) -> list[float]:
    """A figure's mean over several models, epoch by epoch, as far as all of them went."""
    curves = [history[name] for history in histories if name in history]
    shortest = min(map(len, curves), default=0)
    return [float(np.mean([curve[epoch] for curve in curves])) for epoch in range(shortest)]


def _mark(axes: Any, best: int) -> None:
    axes.axvline(best, color=MUTED, linestyle=(0, (3, 3)), linewidth=1)
    axes.annotate(
        f"best: {best}", (best, 1.0), xycoords=("data", "axes fraction"), xytext=(-4, -2), textcoords="offset points",
        ha="right", va="top", fontsize=8, color=MUTED,
    )  # fmt: skip


def _scale(axes: Any, values: Sequence[float]) -> None:
    lowest = min(values)
    if lowest > 0 and max(values) / lowest > _WIDE_RANGE:
        axes.set_yscale("log")
