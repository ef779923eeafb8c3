"""A run's models are trained on a Ray of two machines, in processes of its own; the run ends as if they were not."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
import ray
from ray.cluster_utils import Cluster
from rich.console import Console

from plugins.contract import HoldOut, KFold, Samples, Variant
from services.core.errors import FailedPrecondition, InvalidArgument
from services.store import open_store
from services.trainer.engines import RAY, engine_of
from services.trainer.ensemble import EnsembleRequest, ensemble
from services.trainer.fit.recipe import Engine, Plan, here
from services.trainer.journal import Bench
from services.trainer.members import MembersRequest, find_members
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import EpochDone, PlainProgress
from services.trainer.ray_models import Listener, RayModels, Told, in_waves
from services.trainer.run_record import RunRecord, RunState, read_record, read_records
from services.trainer.settings import TrainerSettings
from services.trainer.sources.datasets import DatasetFetcher
from tests.polling import until
from tests.trainer.rays import room_for_ray
from tests.trainer.tiny_plugin import TinyConfig, half_sighted
from tests.trainer.traced_plugin import FAULTY, Traced, TracedConfig, fill


class FoldedConfig(TracedConfig):
    """After which epoch the first worker to get there is killed."""

    deadly_epoch: int = 0


class Folded(Traced):
    """Three folds, then everything; notes the machine and the process of each model."""

    name = "folded"
    config: ClassVar[type[TinyConfig]] = FoldedConfig
    protocol = KFold(3)
    settings: FoldedConfig
    epochs_seen = 0

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        assert isinstance(config, FoldedConfig)
        self.settings, self.epochs_seen = config, 0
        if os.getpid() != config.driver:
            (config.notes / f"machine {ray.get_runtime_context().get_node_id()}").touch()
        return super().build_model(config, variant, train)

    def snapshot(self, model: Any) -> bytes | None:
        self.epochs_seen += 1
        last_words = self.settings.notes / f"killed {os.getpid()}"
        if self.epochs_seen == self.settings.deadly_epoch and not list(self.settings.notes.glob("killed *")):
            last_words.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return None


class Held(Folded):
    """One model, which is also the one to publish; each variant sees half of what there is."""

    protocol = HoldOut(50)  # type: ignore[assignment]
    variants = MappingProxyType(
        {"left": Variant("the first two"), "right": Variant("the last two"), "faulty": Variant("", {"units": FAULTY})}
    )

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        super().build_model(config, variant, train)
        return half_sighted(variant)


@dataclass
class Workshop:
    """A folder with a mirror of the data, where the same run can be had from several engines."""

    home: Path

    def run(self, plugin: Folded, engine: Engine, *overrides: str, resume: str | None = None) -> tuple[RunRecord, str]:
        """The record, and what was printed."""
        bench, printed = self.bench(plugin, engine)
        asked = () if resume else self.settings(*overrides)
        return train(TrainRequest(plugin.name, overrides=asked, resume=resume), bench), printed.getvalue()

    def bench(self, plugin: Folded, engine: Engine) -> tuple[Bench, io.StringIO]:
        """And where it prints."""
        printed = io.StringIO()
        progress = PlainProgress(Console(file=printed, width=300), time.monotonic)
        datasets = DatasetFetcher(self.home / "cache", str(self.home / "mirror"), progress.step)
        return Bench(
            plugin, datasets, open_store(str(self.home / "store")), self.home / "runs", progress, engine
        ), printed

    def settings(self, *overrides: str) -> tuple[str, ...]:
        """Those, and where the notes go."""
        notes = self.home / "notes"
        notes.mkdir(exist_ok=True)
        return (f"notes={notes}", f"driver={os.getpid()}", *overrides)

    @property
    def ray(self) -> RayModels:
        return RayModels(str(self.home / "mirror"))

    def notes(self, kind: str) -> list[str]:
        return [note.name for note in (self.home / "notes").glob(f"{kind} *")]

    def files(self, run: RunRecord) -> set[str]:
        """Names in the run's folder; TensorBoard's have the time and the process in them."""
        folder = self.home / "runs" / run.id
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {str((file.parent if "tfevents" in file.name else file).relative_to(folder)) for file in files}

    def members(self, run: RunRecord) -> list[RunRecord]:
        return [read_record(self.home / "runs" / member) for member in run.config["members"]]

    def lines(self, run: RunRecord) -> list[str]:
        return sorted((self.home / "runs" / run.id / "metrics.jsonl").read_text().splitlines())


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    fill(tmp_path / "mirror")
    return Workshop(tmp_path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A Ray of a head that has no processor and two machines that have one each."""
    with room_for_ray() as folder:
        (Path(folder) / "ray").mkdir()  # where Ray looks by itself, and Cluster does not ask
        common = {"include_dashboard": False, "temp_dir": f"{folder}/ray"}
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **common})
        for _ in range(2):
            made.add_node(num_cpus=1, **common)
        ray.init(made.address, log_to_driver=False)
        yield made
        ray.shutdown()
        made.shutdown()


def alike(one: RunRecord, other: RunRecord) -> bool:
    """All that a run found out."""
    fields = ("state", "metrics", "folds", "final", "interval", "parameters", "gate", "samples", "data_sha256")
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def epochs_told(printed: str) -> list[str]:
    return sorted(line.partition(" eta ")[0] for line in printed.splitlines() if " epoch " in line)


def test_a_run_whose_worker_is_killed_in_the_middle_of_a_fold_ends_with_the_figures_of_one_here(
    workshop: Workshop, cluster: Cluster
) -> None:
    local, told_here = workshop.run(Folded(), here, "epochs=3")

    run, told = workshop.run(Folded(), workshop.ray, "epochs=3", "deadly_epoch=2")

    assert len(workshop.notes("killed")) == 1 and "begins anew: its worker was lost" in told
    assert run.state is RunState.REJECTED and alike(run, local)
    assert workshop.lines(run) == workshop.lines(local)
    assert workshop.files(run) == workshop.files(local)
    assert sorted(set(epochs_told(told))) == epochs_told(told_here)
    machines = {f"machine {node.node_id}" for node in cluster.worker_nodes}
    assert set(workshop.notes("machine")) == machines, "folds are trained side by side"


def test_an_ensemble_with_a_worker_killed_in_the_middle_of_a_member_has_the_figures_of_one_trained_here(
    workshop: Workshop, cluster: Cluster
) -> None:
    asked = ("folded/left", "folded/right")
    bench, _ = workshop.bench(Held(), here)
    local = ensemble(EnsembleRequest(asked, workshop.settings("epochs=3")), bench)

    bench, printed = workshop.bench(Held(), workshop.ray)
    run = ensemble(EnsembleRequest(asked, workshop.settings("epochs=3", "deadly_epoch=2")), bench)

    told, members = printed.getvalue(), run.config["members"]
    assert len(workshop.notes("killed")) == 1
    assert len([member for member in members if f"{member} begins anew: its worker was lost" in told]) == 1
    assert all(f"{member} epoch 3/3" in told for member in members) and "hold-out epoch" not in told
    machines = {f"machine {node.node_id}" for node in cluster.worker_nodes}
    assert set(workshop.notes("machine")) == machines, "members are trained side by side"
    assert run.config["weights"] == local.config["weights"] and alike(run, local)
    for ours, theirs in zip(workshop.members(run), workshop.members(local), strict=True):
        assert ours.state is RunState.TRAINED and alike(ours, theirs)
        assert workshop.lines(ours) == workshop.lines(theirs)
        assert workshop.files(ours) == workshop.files(theirs)


@pytest.mark.usefixtures("cluster")
def test_a_member_that_fails_leaves_the_others_alone(workshop: Workshop) -> None:
    bench, printed = workshop.bench(Held(), workshop.ray)
    request = MembersRequest(("folded/faulty", "folded/left"), workshop.settings("epochs=1"))
    with pytest.raises(FailedPrecondition, match="ValueError: six units are too many"):
        find_members(request, bench)
    faulty, left = read_records(bench.runs)
    assert (faulty.state, left.state) == (RunState.FAILED, RunState.TRAINED)
    assert f"{left.id} epoch 1/1" in printed.getvalue(), "trained on Ray"
    assert "ValueError: six units are too many (traced_plugin.py" in faulty.error


@pytest.mark.usefixtures("cluster")
def test_a_fault_in_a_model_ends_the_run_as_it_would_here(workshop: Workshop) -> None:
    with pytest.raises(InvalidArgument, match="ValueError: six units are too many"):
        workshop.run(Folded(), workshop.ray, f"units={FAULTY}")
    (record,) = read_records(workshop.home / "runs")
    assert record.state is RunState.FAILED and "six units are too many (traced_plugin.py" in record.error


@pytest.mark.usefixtures("cluster")
def test_who_stops_a_run_stops_its_workers(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(listener: Listener, name: str, told: Told) -> None:
        if isinstance(told, EpochDone):
            raise KeyboardInterrupt

    monkeypatch.setattr(Listener, "hear", stop)
    with pytest.raises(KeyboardInterrupt):
        workshop.run(Folded(), workshop.ray, "epochs=100000")
    processes = {note.name.partition("-")[2] for note in (workshop.home / "notes").glob("8-*")}
    workers = [Path("/proc") / process for process in processes - {str(os.getpid())}]
    assert workers
    until(lambda: not any(worker.exists() for worker in workers), seconds=20)
    (record,) = read_records(workshop.home / "runs")
    assert record.state is RunState.KILLED, "it can be gone on with"


def test_of_a_run_that_goes_on_nothing_is_trained_twice(workshop: Workshop) -> None:
    local, _ = workshop.run(Held(), here, "epochs=1")
    lines = workshop.lines(local)
    again, told = workshop.run(Held(), workshop.ray, resume=local.id)
    assert alike(again, local) and workshop.lines(again) == lines
    assert "on Ray" not in told and not epochs_told(told)


def test_the_time_left_is_that_of_folds_side_by_side() -> None:
    plans = [Plan(f"fold {number + 1}", number, 10, (5 - number) * 10, False) for number in range(5)]
    assert [plan.epochs_after for plan in in_waves(plans, 2)] == [30, 30, 20, 20, 10]
    assert in_waves(plans, 1) == plans


def test_what_workers_say_is_told_here_and_the_bar_is_of_all_of_them() -> None:
    said: list[object] = []

    class Bar(PlainProgress):
        def batch(self, share: float) -> None:
            said.append(share)

        def step(self, text: str) -> None:
            said.append(text)

    listener = Listener(Bar(Console(quiet=True), time.monotonic), 2)
    done = EpochDone("fold 1", 1, 2, {"loss": 0.5}, 3.0)
    for name, told in (
        ("fold 1", 0.0),
        ("fold 1", done),
        ("fold 1", 0.5),
        ("fold 2", 0.0),
        ("fold 2", "data"),
        ("fold 2", 0.5),
    ):
        listener.hear(name, told)
    listener.hear("fold 1", 0.0)
    assert said == [0.0, str(done), 0.25, 0.25, "fold 2: data", 0.5, "fold 1 begins anew: its worker was lost", 0.25]


def test_an_engine_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"local, ray\. Received: 'spark'"), engine_of("spark", TrainerSettings()):
        pass


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "services.trainer.ray_cluster")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FailedPrecondition, match=r"pip install '\.\[ray\]'"), engine_of(RAY, TrainerSettings()):
        pass
