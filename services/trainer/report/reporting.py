"""What the report shows of the finished model: its answers on the test split, worst mistakes, plugin's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.contract import Array, Data, Plugin, Samples
from services.core.card import Expected
from services.trainer.faults import told
from services.trainer.heads import Head, expectations, head_fields, heads_of
from services.trainer.release.signatures import signatures_of
from services.trainer.run_record import Answers, Mistake, Report, RunRecord

_MISTAKES = 12


@dataclass(frozen=True)
class Finished:
    """A trained model, still in memory, its answers on the test split, and how those are spread, by output."""

    model: Any
    data: Data
    heads: Sequence[Head]
    expected: Mapping[str, Expected]


def finished(plugin: Plugin[Any], model: Any, data: Data) -> Finished:
    """The model with its answers."""
    signatures = signatures_of(plugin, model)
    heads = heads_of(head_fields(signatures), model, data.test)
    return Finished(model, data, heads, expectations(signatures, heads))


def report_of(plugin: Plugin[Any], record: RunRecord, run: Finished) -> Report:
    """The report of a run."""
    with told(plugin, f"show and figures of plugin {plugin.name} return what the report shows"):
        return _report(plugin, record, run)


def _report(plugin: Plugin[Any], record: RunRecord, run: Finished) -> Report:
    return Report(
        record=record,
        model=run.model,
        answers=[Answers(head, _worst(plugin, head, run.data.test, _MISTAKES // len(run.heads))) for head in run.heads],
        figures=tuple(plugin.figures(run.model, run.data, plugin.config.model_validate(record.config))),
    )


def _worst(plugin: Plugin[Any], head: Head, test: Samples, most: int) -> tuple[Mistake, ...]:
    """The samples with the largest loss, largest first: those of which the right answer got the lowest score."""
    if head.labels:
        right = head.targets.reshape(-1).astype(int)
        chosen = head.predictions.argmax(axis=1)
        losses = np.where(chosen == right, -1.0, 1 - head.predictions[np.arange(len(right)), right])
        told = [(head.labels[a], head.labels[b]) for a, b in zip(right, chosen, strict=True)]
    else:
        targets = head.targets.reshape(head.predictions.shape)
        losses = np.abs(head.predictions - targets).max(axis=1)
        told = [(_numbers(a), _numbers(b)) for a, b in zip(targets, head.predictions, strict=True)]
    worst = [row for row in np.argsort(-losses, kind="stable")[:most] if losses[row] >= 0]
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
