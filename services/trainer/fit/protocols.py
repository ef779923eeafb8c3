"""Evaluation protocols: which rows a model learns from and which it is validated on (book 4.2). Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from plugins.contract import AllData, Array, EvaluationProtocol, HoldOut, IteratedKFold, KFold, Untrained
from services.core.errors import InvalidArgument
from services.trainer.run_record import History, MetricRecord

HOLD_OUT = "hold-out"
FINAL = "final"


@dataclass(frozen=True)
class Cut:
    """Row numbers of one training part and of the part it is validated on."""

    name: str
    train: Array
    validation: Array


def cuts(protocol: EvaluationProtocol, rows: int, seed: int) -> tuple[Cut, ...]:
    """The models to train for validation, in order; the shuffle comes from the seed alone. Raises InvalidArgument."""
    random = np.random.default_rng(seed)
    if isinstance(protocol, AllData | Untrained):
        return ()
    if isinstance(protocol, HoldOut):
        validation = round(rows * protocol.validation) if protocol.validation < 1 else int(protocol.validation)
        if not 1 <= validation < rows:
            raise InvalidArgument(
                f"Hold-out validates on 1 to {rows - 1} of {rows} training samples. Received: {protocol.validation}"
            )
        if validation + protocol.gap >= rows:
            raise InvalidArgument(f"A gap leaves samples to train on. Received: {protocol.gap} of {rows} samples")
        order = np.arange(rows) if protocol.in_order else random.permutation(rows)
        cut = rows - validation
        return (Cut(HOLD_OUT, order[: cut - protocol.gap], order[cut:]),)
    if not 2 <= protocol.folds <= rows:
        raise InvalidArgument(f"K-fold has 2 to {rows} folds for {rows} training samples. Received: {protocol.folds}")
    repeats = protocol.repeats if isinstance(protocol, IteratedKFold) else 1
    return tuple(
        Cut(f"fold {repeat * protocol.folds + number + 1}", train, validation)
        for repeat in range(repeats)
        for number, (train, validation) in enumerate(_folds(random.permutation(rows), protocol.folds))
    )


def trains_again(protocol: EvaluationProtocol) -> bool:
    """Is the published model a fresh one, trained on all non-test data?"""
    return isinstance(protocol, KFold | IteratedKFold) or (isinstance(protocol, HoldOut) and protocol.refit)


def _folds(order: Array, folds: int) -> Iterator[tuple[Array, Array]]:
    parts = np.array_split(order, folds)
    for number, validation in enumerate(parts):
        yield np.concatenate([*parts[:number], *parts[number + 1 :]]), validation


def best_epoch(metric: MetricRecord, histories: Sequence[History]) -> int:
    """The epoch, from 1, at which the validation figure is best on the mean over the folds (book 3.6.4).

    Folds that stopped early shorten the mean to what all of them reached. NaN is never best.
    """
    curves = [history[f"val_{metric.name}"] for history in histories]
    shortest = min(map(len, curves))
    mean = np.mean([curve[:shortest] for curve in curves], axis=0)
    ordered = np.where(np.isnan(mean), np.inf, -mean if metric.higher_is_better else mean)
    return int(np.argmin(ordered)) + 1
