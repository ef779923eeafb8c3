"""A run's models are trained on a Ray of two machines, in processes of its own; the run ends as if they were not."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import ray
from ray.cluster_utils import Cluster
from rich.console import Console

from plugins.contract import HoldOut, KFold, Samples
from services.store import open_store
from services.trainer.fit.recipe import Engine, here
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.ray_models import RayModels
from services.trainer.run_record import RunRecord, RunState
from services.trainer.sources.datasets import DatasetFetcher
from tests.trainer.rays import room_for_ray
from tests.trainer.tiny_plugin import TinyConfig
from tests.trainer.traced_plugin import Traced, TracedConfig, fill


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
    """One model, which is also the one to publish."""

    protocol = HoldOut(50)  # type: ignore[assignment]


@dataclass
class Workshop:
    """A folder with a mirror of the data, where the same run can be had from several engines."""

    home: Path

    def run(self, plugin: Folded, engine: Engine, *overrides: str, resume: str | None = None) -> tuple[RunRecord, str]:
        """The record, and what was printed."""
        printed, notes = io.StringIO(), self.home / "notes"
        notes.mkdir(exist_ok=True)
        progress = PlainProgress(Console(file=printed, width=300), time.monotonic)
        datasets = DatasetFetcher(self.home / "cache", str(self.home / "mirror"), progress.step)
        bench = Bench(plugin, datasets, open_store(str(self.home / "store")), self.home / "runs", progress, engine)
        asked = () if resume else (f"notes={notes}", f"driver={os.getpid()}", *overrides)
        return train(TrainRequest(plugin.name, overrides=asked, resume=resume), bench), printed.getvalue()

    def on_ray(self, plugin: Folded, *overrides: str, resume: str | None = None) -> tuple[RunRecord, str]:
        return self.run(plugin, RayModels(str(self.home / "mirror")), *overrides, resume=resume)

    def notes(self, kind: str) -> list[str]:
        return [note.name for note in (self.home / "notes").glob(f"{kind} *")]

    def files(self, run: RunRecord) -> set[str]:
        """Names in the run's folder; TensorBoard's have the time and the process in them."""
        folder = self.home / "runs" / run.id
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {str((file.parent if "tfevents" in file.name else file).relative_to(folder)) for file in files}

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


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("plugin", [Folded(), Held()], ids=["folds", "hold-out"])
def test_a_run_whose_worker_is_killed_in_the_middle_of_a_model_ends_with_the_figures_of_one_here(
    plugin: Folded, workshop: Workshop
) -> None:
    local, told_here = workshop.run(plugin, here, "epochs=3")

    run, told = workshop.on_ray(plugin, "epochs=3", "deadly_epoch=2")

    assert len(workshop.notes("killed")) == 1 and "begins anew: its worker was lost" in told
    assert run.state is RunState.REJECTED and alike(run, local)
    assert workshop.lines(run) == workshop.lines(local)
    assert workshop.files(run) == workshop.files(local)
    assert sorted(set(epochs_told(told))) == epochs_told(told_here)


def test_folds_are_trained_on_both_machines(workshop: Workshop, cluster: Cluster) -> None:
    workshop.on_ray(Folded(), "epochs=2")
    assert sorted(workshop.notes("machine")) == sorted(f"machine {node.node_id}" for node in cluster.worker_nodes)
