"""What the report shows of the finished model: its answers on the test split, worst mistakes, plugin's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.contract import EVALUATION_BATCH, Array, Data, Plugin, Samples
from services.core.card import Task
from services.trainer.answers import as_scores
from services.trainer.run_record import Mistake, Report, RunRecord

_MISTAKES = 12


@dataclass(frozen=True)
class Finished:
    """A trained model, still in memory, and its answers on the test split."""

    model: Any
    data: Data
    predictions: Array | None  # scores [N, C] or values [N, K]; None where the answer is not one such table


def finished(plugin: Plugin[Any], model: Any, data: Data) -> Finished:
    """The model with its answers."""
    return Finished(model, data, _predictions(plugin.task, model, data.test))


def report_of(plugin: Plugin[Any], record: RunRecord, run: Finished) -> Report:
    """The report of a run."""
    model, data, predictions = run.model, run.data, run.predictions
    labels = plugin.labels or tuple(map(str, range(predictions.shape[1] if predictions is not None else 0)))
    return Report(
        record=record,
        model=model,
        labels=labels if plugin.task is Task.CLASSIFY else (),
        targets=None if predictions is None else data.test.targets,
        predictions=predictions,
        mistakes=() if predictions is None else _worst(plugin, labels, data.test, predictions),
        figures=tuple(plugin.figures(model, data, plugin.config.model_validate(record.config))),
    )


def _predictions(task: Task, model: Any, test: Samples) -> Array | None:
    if task not in (Task.CLASSIFY, Task.REGRESS) or not len(test):
        return None
    answer = model.predict(test.in_order(EVALUATION_BATCH), verbose=0)
    if not isinstance(answer, np.ndarray) or answer.ndim != 2:
        return None
    return as_scores(answer) if task is Task.CLASSIFY else answer


def _worst(plugin: Plugin[Any], labels: Sequence[str], test: Samples, predictions: Array) -> tuple[Mistake, ...]:
    """The samples with the largest loss, largest first: those of which the right answer got the lowest score."""
    if plugin.task is Task.CLASSIFY:
        right = test.targets.reshape(-1).astype(int)
        chosen = predictions.argmax(axis=1)
        losses = np.where(chosen == right, -1.0, 1 - predictions[np.arange(len(right)), right])
        told = [(labels[a], labels[b]) for a, b in zip(right, chosen, strict=True)]
    else:
        targets = test.targets.reshape(predictions.shape)
        losses = np.abs(predictions - targets).max(axis=1)
        told = [(_numbers(a), _numbers(b)) for a, b in zip(targets, predictions, strict=True)]
    worst = [row for row in np.argsort(-losses, kind="stable")[:_MISTAKES] if losses[row] >= 0]
    return tuple(_mistake(plugin, one_input(test, row), told[row], losses[row]) for row in worst)


def one_input(samples: Samples, row: int) -> Any:
    """One row as the model takes it."""
    inputs, _ = next(samples.take(np.array([row])).in_order(1).as_numpy_iterator())
    return {name: column[0] for name, column in inputs.items()} if isinstance(inputs, Mapping) else inputs[0]


def _mistake(plugin: Plugin[Any], sample: Any, told: tuple[str, str], loss: float) -> Mistake:
    target, predicted = told
    return Mistake(plugin.show(sample), target, predicted, float(loss))


def _numbers(values: Array) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
