"""What the card tells of the run behind a version."""

from __future__ import annotations

from datetime import UTC, datetime

from services.trainer.release.publishing import card_of
from services.trainer.run_record import MetricRecord, RunRecord, Verdict
from tests.trainer.tiny_plugin import PLUGIN


def run(passed: bool, forced: bool) -> RunRecord:
    return RunRecord(
        id="run-1",
        plugin="tiny",
        variant="dense",
        title=PLUGIN.title,
        task=PLUGIN.task,
        model="tiny",
        config={"epochs": 1},
        seed=1,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        metric=MetricRecord(name="accuracy", higher_is_better=True),
        gate=Verdict(passed=passed, reasons=("accuracy 0.4 does not beat the baseline 0.5",)),
        forced=forced,
        environment={"tensorgate": "0"},
    )


def test_the_card_warns_of_a_version_that_the_gate_refused() -> None:
    (warning,) = card_of(PLUGIN, run(passed=False, forced=True), {}).warnings
    assert warning == "published although the gate refused it: accuracy 0.4 does not beat the baseline 0.5"


def test_a_version_that_passed_the_gate_has_no_warning() -> None:
    assert card_of(PLUGIN, run(passed=True, forced=False), {}).warnings == ()
