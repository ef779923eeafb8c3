"""The gate's verdicts."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from services.core.card import Card, Lineage, Task
from services.trainer.release.gate import Candidate, Standing, judge
from services.trainer.run_record import MetricRecord

ACCURACY = MetricRecord(name="accuracy", higher_is_better=True)
MAE = MetricRecord(name="mae", higher_is_better=False)
DATA = {"mnist.npz": "0" * 64}


def stable(metric: str, value: float, baseline: float, data: dict[str, str] = DATA) -> Standing:
    lineage = Lineage(plugin="p", variant="v", run="r", seed=1, config={}, data_sha256=data, created=datetime.now(UTC))
    return Standing(
        7,
        Card(
            model="m",
            task=Task.CLASSIFY,
            title="",
            description="",
            signatures={},
            metrics={metric: value},
            baseline={metric: baseline},
            lineage=lineage,
        ),
    )


@pytest.mark.parametrize(
    ("metric", "ours", "passed"),
    [(ACCURACY, 0.6, True), (ACCURACY, 0.5, False), (ACCURACY, math.nan, False), (MAE, 0.4, True), (MAE, 0.6, False)],
)
def test_a_run_passes_only_if_it_beats_its_baseline(metric: MetricRecord, ours: float, passed: bool) -> None:
    verdict = judge(metric, Candidate({metric.name: ours}, {metric.name: 0.5}, DATA), None)
    assert verdict.passed is passed
    assert "baseline 0.5" in verdict.reasons[0]


@pytest.mark.parametrize(("metric", "towards"), [(ACCURACY, 1.0), (MAE, 0.0)])
def test_a_figure_of_32_bits_that_is_the_baseline_does_not_beat_it(metric: MetricRecord, towards: float) -> None:
    rounded = float(np.nextafter(np.float32(0.512), np.float32(towards)))
    verdict = judge(metric, Candidate({metric.name: rounded}, {metric.name: 0.512}, DATA), None)
    assert metric.better(rounded, 0.512) and not verdict.passed
    assert "does not beat" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "passed"),
    [
        (ACCURACY, 0.98, 0.985, True),
        (ACCURACY, 0.90, 0.985, False),
        (ACCURACY, 0.99, 0.985, True),
        (MAE, 2.65, 2.6, True),
        (MAE, 3.1, 2.6, False),
    ],
)
def test_a_run_passes_only_if_it_is_not_much_worse_than_stable(
    metric: MetricRecord, ours: float, theirs: float, passed: bool
) -> None:
    baseline = 0.1 if metric is ACCURACY else 6.5
    verdict = judge(
        metric, Candidate({metric.name: ours}, {metric.name: baseline}, DATA), stable(metric.name, theirs, baseline)
    )
    assert verdict.passed is passed
    assert "stable (version 7)" in verdict.reasons[1]


def test_a_run_with_a_figure_that_is_no_number_does_not_pass_though_the_one_that_counts_is_good() -> None:
    candidate = Candidate({"accuracy": 0.9, "loss": math.nan}, {"accuracy": 0.5}, DATA)
    verdict = judge(ACCURACY, candidate, None)
    assert not verdict.passed
    assert verdict.reasons[1].startswith("no number: loss")


def test_figures_on_other_data_are_not_compared() -> None:
    other = stable("accuracy", 0.99, 0.1, {"other.npz": "1" * 64})
    verdict = judge(ACCURACY, Candidate({"accuracy": 0.6}, {"accuracy": 0.5}, DATA), other)
    assert verdict.passed
    assert "other data" in verdict.reasons[1]


def test_a_stable_without_the_metric_is_not_compared() -> None:
    assert judge(ACCURACY, Candidate({"accuracy": 0.6}, {"accuracy": 0.5}, DATA), stable("mae", 2, 6)).passed
