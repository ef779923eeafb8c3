"""A study finds settings on validation data, goes on after a kill, and ends in one run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from plugins.contract import Choice, Range, Search
from services.core.errors import InvalidArgument
from services.store import open_store
from services.trainer.journal import Bench
from services.trainer.progress import PlainProgress
from services.trainer.run_record import MetricRecord, RunState
from services.trainer.study.trial import Pruning, hopeless_in
from services.trainer.study.tuning import TuneRequest, open_study, tune
from tests.trainer.mistaken_plugin import network, softmax
from tests.trainer.tiny_plugin import Tiny
from tests.trainer.train_tiny import NoDatasets, Refused

PNG = b"\x89PNG"


class Searched(Refused):
    """The tiny plugin, which learns nothing at the small end of its learning rates; its gate refuses, to be quick."""

    search: Mapping[str, Search] = MappingProxyType(  # type: ignore[misc]  # a ClassVar of the base
        {"learning_rate": Range(1e-6, 3e-2, log=True), "units": Range(2, 8), "batch_size": Choice((16, 32))}
    )


def bench_in(home: Path) -> Bench:
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    return Bench(Searched(), NoDatasets(), open_store(str(home / "store")), home / "runs", progress)


def request(trials: int, **asked: Any) -> TuneRequest:
    return TuneRequest("tiny", "first", overrides=("epochs=2",), trials=trials, **asked)


def test_a_study_goes_on_after_a_kill_and_ends_in_a_run_with_the_best_settings(tmp_path: Path) -> None:
    studies, bench = tmp_path / "studies", bench_in(tmp_path)
    (studies / "first").mkdir(parents=True)
    killed = open_study(request(4), bench.plugin, studies / "first")
    killed.enqueue_trial({"learning_rate": 3e-2, "units": 8, "batch_size": 16})
    trial = killed.ask()
    trial.suggest_float("learning_rate", 1e-6, 3e-2, log=True)  # and here the process was killed

    run = tune(request(4), bench, studies)

    study = open_study(request(4), bench.plugin, studies / "first")
    states = [one.state for one in study.trials]
    assert states[0] is TrialState.FAIL and len(states) == 4
    assert study.trials[1].params["learning_rate"] == pytest.approx(3e-2)  # tried again
    assert run.state is RunState.REJECTED and len(run.metrics) > 0
    best = study.best_trial.params
    assert {name: run.config[name] for name in best} == pytest.approx(best)
    page = (studies / "first" / "study.html").read_text()
    assert run.id in page and f"{len(states)} trials" in page
    assert (studies / "first" / "parallel.png").read_bytes().startswith(PNG)


def test_settings_that_a_process_dies_of_three_times_are_given_up(tmp_path: Path) -> None:
    plugin = bench_in(tmp_path).plugin
    open_study(request(4), plugin, tmp_path).enqueue_trial({"units": 8})
    for _ in range(3):  # three processes, each killed in the middle of the trial
        trial = open_study(request(4), plugin, tmp_path).ask()
        assert trial.suggest_int("units", 2, 8) == 8
    states = [one.state for one in open_study(request(4), plugin, tmp_path).trials]
    assert states == [TrialState.FAIL] * 3


def test_a_hopeless_trial_is_ended_early() -> None:
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(1, 0))
    good = study.ask()
    good.report(0.9, 0)
    study.tell(good, 0.9)
    watch = Pruning(hopeless_in(study.ask()), MetricRecord(name="accuracy", higher_is_better=True))
    watch.on_epoch_end(0, {"val_accuracy": 0.95})
    hopeless = Pruning(hopeless_in(study.ask()), MetricRecord(name="accuracy", higher_is_better=True))
    with pytest.raises(optuna.TrialPruned):
        hopeless.on_epoch_end(0, {"val_accuracy": 0.1})


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"sampler": "guess"}, "Received: 'guess', 3"), ({"variant": "none"}, "A variant of tiny is one of")],
)
def test_a_study_that_cannot_be_is_refused(asked: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=says):
        tune(request(3, **asked), bench_in(tmp_path), tmp_path)


def test_a_plugin_that_says_nothing_of_what_to_search_is_refused(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    plain = Bench(Tiny(), bench.datasets, bench.store, bench.runs, bench.progress)
    with pytest.raises(InvalidArgument, match="says what to search"):
        tune(request(3), plain, tmp_path)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"unit": Range(2, 8)}, "A setting is one of: .*, units, .*Received: 'unit'"),
        ({"units": Range(0.5, 8.5)}, "units: Input should be a valid integer.* Received: '0.5'"),
        ({"units": Choice((4, "many"))}, "units: Input should be a valid integer.* Received: 'many'"),
        ({"units": [4, 8]}, r"a Range or a Choice. Received: units: \[4, 8\]"),
    ],
)
def test_what_cannot_be_searched_is_told_before_anything_is_tried(
    search: Mapping[str, Any], told: str, tmp_path: Path
) -> None:
    bench = bench_in(tmp_path)
    vars(bench.plugin).update(search=search)
    with pytest.raises(InvalidArgument, match=told):
        tune(request(2), bench, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize("ends", [(8, 1, False), (0, 8, True), (float("nan"), 1.0, False)])
def test_a_range_goes_up_and_by_orders_of_magnitude_from_above_zero(ends: tuple[float, float, bool]) -> None:
    with pytest.raises(ValueError, match=r"goes up from low to high.* Received: Range\(low="):
        Range(*ends)


def test_a_model_that_does_not_fit_its_data_is_told_before_anything_is_tried(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    vars(bench.plugin).update(build_model=network(lambda: softmax(3)))
    with pytest.raises(InvalidArgument, match=r"Received: float32 of shape \[rows, 3\]"):
        tune(request(2), bench, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()
