"""Trials on Ray: each is a task on any machine, while the study stays in the process that asked for it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
import ray
from optuna.trial import Trial, TrialState
from ray.exceptions import RayError, RayTaskError
from rich.console import Console

from services.trainer.fit.recipe import Assignment
from services.trainer.progress import PlainProgress
from services.trainer.ray_cluster import datasets_of_worker, errors_as_here, on_ray, room
from services.trainer.sources.downloads import Say
from services.trainer.study.desk import Desk
from services.trainer.study.trial import Draw, hopeless_in, run_trial, try_again


@dataclass(frozen=True)
class RayEngine:
    """`mirror` is where workers look for datasets; `say` gets a sentence for each thing that happens.

    `parallel` is how many trials are run at once (None: as many as Ray has GPUs, or else processors).
    """

    mirror: str
    parallel: int | None
    say: Say

    def __call__(self, study: optuna.Study, draw: Draw, count: int) -> None:
        """Raises Unavailable when Ray cannot be reached or goes away, and what a trial raises."""
        with on_ray(), errors_as_here():
            self._start(study, draw).run(count)

    def _start(self, study: optuna.Study, draw: Draw) -> _Round:
        there = room()
        parallel = self.parallel or there.at_once
        self.say(f"trials run on Ray, {parallel} at once")
        task = there.task(_work, tries_again=0)  # tried again as a trial, for the study to see
        return _Round(study, draw, task, ray.remote(num_cpus=0)(Desk).remote(), self, parallel)


@dataclass
class _Round:
    """The trials that run at the moment, by the reference to what will come of them."""

    study: optuna.Study
    draw: Draw
    task: Any
    desk: Any
    engine: RayEngine
    parallel: int
    running: dict[Any, Trial] = field(default_factory=dict)

    def run(self, count: int) -> None:
        """Begin so many trials, and see each to its end."""
        report = self.desk.next_report.remote()
        while count or self.running:
            while count and len(self.running) < self.parallel:
                self._begin()
                count -= 1
            (ready,), _ = ray.wait([report, *self.running])
            if ready == report:
                self._answer(*ray.get(report))
                report = self.desk.next_report.remote()
            else:
                self._end(self.running.pop(ready), ready)

    def _begin(self) -> None:
        trial = self.study.ask()
        self.running[self.task.remote(self.draw(trial), self.engine.mirror, self.desk, trial.number)] = trial

    def _answer(self, number: int, epoch: int, figure: float) -> None:
        for trial in self.running.values():  # a worker may have died since
            if trial.number == number:
                self.engine.say(f"trial {number} epoch {epoch + 1} {figure:.4g}")
                self.desk.answer.remote(number, hopeless_in(trial)(epoch, figure))

    def _end(self, trial: Trial, ready: Any) -> None:
        try:
            value = ray.get(ready)
        except RayTaskError:
            self.study.tell(trial, state=TrialState.FAIL)
            raise
        except RayError as error:
            self.engine.say(f"trial {trial.number} lost its worker: {type(error).__name__}")
            try_again(self.study, trial)
            return
        if value is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif math.isnan(value):  # it diverged
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, value)


def _work(assignment: Assignment, mirror: str, desk: Any, number: int) -> float | None:
    """A worker's part: the trial's best validation figure, or None if the study found it hopeless."""
    progress = PlainProgress(Console(), time.monotonic)  # Ray keeps it as the worker's log
    datasets = datasets_of_worker(mirror, progress.step)

    def hopeless(epoch: int, figure: float) -> bool:
        return bool(ray.get(desk.hopeless.remote(number, epoch, figure)))

    with TemporaryDirectory() as folder:
        try:
            return run_trial(assignment, datasets, Path(folder), progress, hopeless)
        except optuna.TrialPruned:
            return None
