"""Models of runs on Ray: each is a task, and the files that training it leaves come back to its run's folder.

A run stays in the process that asked for it, which then finds its models trained, as one that goes on after a kill
does. A task whose worker is lost is begun anew by Ray: same seed, same figures.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from services.trainer.data import load
from services.trainer.fit.checkpoint import state_file
from services.trainer.fit.fitting import fit
from services.trainer.fit.log import trim_lines
from services.trainer.fit.precision import make_deterministic
from services.trainer.fit.recipe import Assignment, Faults, Plan, Planned, Recipe
from services.trainer.progress import EpochDone, RunProgress
from services.trainer.ray_cluster import datasets_of_worker, errors_as_here, room
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import metric_record

_TRIES_AGAIN = 3
_LOOK_SECONDS = 0.2
_SHARE_SECONDS = 1.0
_MOST_UNHEARD = 1000

Files = Mapping[str, bytes]  # by path in the run's folder
Told = str | EpochDone | float  # a step, an epoch, or the share of a model's training that is done


@dataclass(frozen=True)
class RayModels:
    """The engine. `mirror` is where workers look for datasets."""

    mirror: str

    def __call__(self, models: Iterable[Planned]) -> Faults:
        """Raises Unavailable when Ray goes away."""
        left = [model for model in models if not is_trained(model)]
        if not left:
            return {}
        with errors_as_here():
            return self._train(left)

    def _train(self, models: Sequence[Planned]) -> Faults:
        there, queue, names, progress = room(), _queue_here(), names_of(models), models[0].recipe.progress
        task = there.task(_work, _TRIES_AGAIN)
        progress.step(f"on Ray, {there.at_once} at once: {', '.join(names)}")
        plans = in_waves([model.plan for model in models], there.at_once)
        running = {
            task.remote(_assignment(model.recipe), plan, Teller(queue, name), self.mirror): model
            for model, plan, name in zip(models, plans, names, strict=True)
        }
        try:
            return _Round(running, queue, Listener(progress, len(models))).run()
        finally:
            for each in running:
                ray.cancel(each, force=True)
            queue.shutdown(force=True)


@dataclass
class _Round:
    """The models that are trained at the moment, by the reference to what will come of them."""

    running: dict[Any, Planned]
    queue: Queue
    listener: Listener
    faults: dict[RunFolder, Exception] = field(default_factory=dict)

    def run(self) -> Faults:
        """See each to its end."""
        while self.running:
            ready, _ = ray.wait([*self.running], timeout=_LOOK_SECONDS)
            for name, told in self.queue.get_nowait_batch(self.queue.qsize()):
                self.listener.hear(name, told)
            for each in ready:
                if each in self.running:  # not cancelled since
                    self._end(each, self.running.pop(each))
        return self.faults

    def _end(self, ready: Any, model: Planned) -> None:
        run = model.recipe.folder
        try:
            with errors_as_here():
                files = ray.get(ready)
        except Exception as error:  # whatever it is, it is that run's, and the others go on
            self.faults[run] = error
            for each in [each for each, other in self.running.items() if other.recipe.folder == run]:
                ray.cancel(each, force=True)
                del self.running[each]
        else:
            keep(files, model.plan.name, run)


def is_trained(model: Planned) -> bool:
    """Is all of it in its run's folder?"""
    return state_file(model.recipe.folder, model.plan.name).read().is_end(model.plan.epochs)


def names_of(models: Sequence[Planned]) -> list[str]:
    """What people are told of each: within a run the model's name, among several the run's id."""
    alone = len({model.recipe.folder for model in models}) == 1
    return [model.plan.name if alone else model.recipe.folder.id for model in models]


def _assignment(recipe: Recipe) -> Assignment:
    return Assignment(recipe.plugin, recipe.variant, recipe.config)


def _queue_here() -> Queue:
    """What workers tell; on this machine, so that no other's loss is the queue's."""
    mine = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Queue(_MOST_UNHEARD, {"num_cpus": 0, "scheduling_strategy": mine})


def in_waves(plans: Sequence[Plan], at_once: int) -> list[Plan]:
    """The same plans with the epochs that come after each, of models that are trained so many at once."""
    waves = -(-len(plans) // at_once)
    return [
        replace(plan, epochs_after=plans[-1].epochs_after + (waves - 1 - number // at_once) * plan.epochs)
        for number, plan in enumerate(plans)
    ]


class Listener:
    """Tells here what workers say; the bar shows how much of all models' training is done."""

    def __init__(self, progress: RunProgress, models: int) -> None:
        self._progress, self._models = progress, models
        self._shares: dict[str, float] = {}

    def hear(self, name: str, told: Told) -> None:
        """What the worker that trains this model says; first of all it says that nothing is done."""
        if isinstance(told, EpochDone):
            self._progress.epoch(replace(told, stage=name))
        elif isinstance(told, str):
            self._progress.step(f"{name}: {told}")
        else:
            if told == 0 and name in self._shares:
                self._progress.step(f"{name} begins anew: its worker was lost")
            self._shares[name] = told
            self._progress.batch(sum(self._shares.values()) / self._models)


class Teller:
    """Progress as a worker has it: all is sent to where the run is, the share at most once a second."""

    def __init__(self, queue: Queue, name: str) -> None:
        self._queue, self._name = queue, name
        self._shared = 0.0

    def begin(self) -> None:
        """Tell that nothing is done."""
        self._tell(0.0)

    def step(self, text: str) -> None:
        """Tell it."""
        self._tell(text)

    def batch(self, share: float) -> None:
        """Tell it now and then."""
        if time.monotonic() - self._shared >= _SHARE_SECONDS:
            self._shared = time.monotonic()
            self._tell(share)

    def epoch(self, done: EpochDone) -> None:
        """Tell its figures, and how far the training is."""
        self._tell(done)
        self._tell(done.epoch / done.epochs)

    def close(self) -> None:
        """Nothing to take away."""

    def _tell(self, told: Told) -> None:
        self._queue.put((self._name, told))


def _work(assignment: Assignment, plan: Plan, progress: Teller, mirror: str) -> Files:
    """A worker's part: train one model; what is in the folder then."""
    plugin, config = assignment.plugin, assignment.config
    progress.begin()
    make_deterministic(config)
    train = load(plugin, config, datasets_of_worker(mirror, progress.step)).train
    with TemporaryDirectory() as path:
        folder = RunFolder(Path(path))
        recipe = Recipe(plugin, assignment.variant, config, metric_record(plugin.metric), folder, progress)
        fit(recipe, plan.stage(train))
        shutil.rmtree(folder.features, ignore_errors=True)  # they may be large
        return {str(file.relative_to(path)): file.read_bytes() for file in Path(path).rglob("*") if file.is_file()}


def keep(files: Files, name: str, folder: RunFolder) -> None:
    """Put a model's files into the run's folder: its state last, because with it the model counts as trained."""
    trim_lines(folder.metrics, name, 0)  # of a training before that was cut short
    with folder.metrics.open("ab") as lines:
        lines.write(files[folder.metrics.name])
    others = [path for path in files if path != folder.metrics.name]
    for path in sorted(others, key=lambda path: path.endswith("state.npz")):
        file = folder.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f".{file.name}.new")
        new.write_bytes(files[path])
        new.replace(file)
