"""Trials run on a real Ray on this machine, in processes of its own; the study does not notice."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import ray
from optuna.trial import Trial, TrialState
from rich.console import Console

from services.core.errors import FailedPrecondition, InvalidArgument
from services.store import open_store
from services.trainer.configuration import resolve_config
from services.trainer.fit.recipe import Assignment
from services.trainer.journal import Bench
from services.trainer.progress import PlainProgress
from services.trainer.run_record import RunState
from services.trainer.sources.datasets import DatasetFetcher
from services.trainer.study.ray_engine import RayEngine
from services.trainer.study.tuning import TuneRequest, open_study, tune
from tests.trainer.rays import room_for_ray
from tests.trainer.traced_plugin import DEADLY, FAULTY, Traced, fill

GOOD, BAD = 3e-2, 1e-6  # learning rates


@pytest.fixture(scope="module")
def on_ray() -> Iterator[None]:
    """A Ray with two processors for this process; nothing of it is left."""
    with room_for_ray() as folder:
        ray.init(
            "local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        yield


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("data") / "mirror")


def bench_in(home: Path, mirror: str) -> Bench:
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    datasets = DatasetFetcher(home / "cache", mirror, progress.step)
    return Bench(Traced(), datasets, open_store(str(home / "store")), home / "runs", progress)


def overrides(notes: Path) -> tuple[str, ...]:
    notes.mkdir()
    return ("epochs=2", f"notes={notes}", f"driver={os.getpid()}")


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.usefixtures("on_ray")
def test_trials_run_elsewhere_and_one_whose_worker_is_killed_is_tried_again(tmp_path: Path, mirror: Path) -> None:
    notes, studies = tmp_path / "notes", tmp_path / "studies"
    bench = bench_in(tmp_path, str(mirror))
    request = TuneRequest("traced", "first", None, overrides(notes), trials=2, engine="ray", parallel=2)
    (studies / "first").mkdir(parents=True)
    study = open_study(request, bench.plugin, studies / "first")
    study.enqueue_trial({"learning_rate": BAD, "units": 8})
    study.enqueue_trial({"learning_rate": GOOD, "units": DEADLY})

    run = tune(request, bench, studies, str(mirror))

    trials = open_study(request, bench.plugin, studies / "first").trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert trials[2].params == trials[1].params == pytest.approx({"learning_rate": GOOD, "units": DEADLY})
    assert run.state is RunState.REJECTED and run.config["units"] == DEADLY
    assert run.config["learning_rate"] == pytest.approx(GOOD)
    workers = {int(note.name.split("-")[1]) for note in notes.iterdir()} - {os.getpid()}
    assert len(workers) >= 2 and any(is_gone(pid) for pid in workers)
    assert not list((studies / "first").glob("trial-*"))


@pytest.fixture(scope="module")
def ended(on_ray: None, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[optuna.Study, Exception]:
    """A study of three trials, one after another: good, bad, faulty; and what it ended with."""
    asked = overrides(tmp_path_factory.mktemp("ended") / "notes")

    def draw(trial: Trial) -> Assignment:
        rate, units = trial.suggest_float("learning_rate", 1e-6, 3e-2), trial.suggest_int("units", 2, 8)
        config = resolve_config(Traced(), None, (*asked, f"learning_rate={rate}", f"units={units}"))
        return Assignment(Traced(), "dense", config)

    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(1, 0))
    for rate, units in ((GOOD, 8), (BAD, 8), (GOOD, FAULTY)):
        study.enqueue_trial({"learning_rate": rate, "units": units})
    with pytest.raises(Exception) as fault:
        RayEngine(str(mirror), 1, lambda _: None)(study, draw, 3)
    return study, fault.value


def test_a_hopeless_trial_is_ended_in_its_worker(ended: tuple[optuna.Study, Exception]) -> None:
    good, bad, _ = ended[0].trials
    assert good.state is TrialState.COMPLETE and list(good.intermediate_values) == [0, 1]
    assert bad.state is TrialState.PRUNED and list(bad.intermediate_values) == [0]


def test_a_fault_in_a_trial_ends_the_study_as_it_would_here(ended: tuple[optuna.Study, Exception]) -> None:
    study, error = ended
    assert type(error) is InvalidArgument and "ValueError: six units are too many (traced_plugin.py" in str(error)
    assert study.trials[2].state is TrialState.FAIL


@pytest.mark.usefixtures("on_ray")
def test_ray_sends_no_usage_statistics() -> None:
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_without_ray_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "services.trainer.study.ray_engine")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FailedPrecondition, match=r"pip install '\.\[ray\]'"):
        tune(TuneRequest("traced", "first", engine="ray"), bench_in(tmp_path, ""), tmp_path)


@pytest.mark.parametrize(
    ("engine", "parallel", "says"),
    [
        ("spark", None, "local, ray. Received: 'spark'"),
        ("local", 2, "Received: local, 2"),
        ("ray", 0, "Received: ray, 0"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(engine: str, parallel: int | None, says: str, tmp_path: Path) -> None:
    request = TuneRequest("traced", "first", engine=engine, parallel=parallel)
    with pytest.raises(InvalidArgument, match=says):
        tune(request, bench_in(tmp_path, ""), tmp_path)
