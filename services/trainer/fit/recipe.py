"""What is to be trained: a run's recipe, and its models one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from plugins.contract import Config, EvaluationProtocol, Plugin, Samples
from services.trainer.fit.crew import Crew
from services.trainer.fit.protocols import Cut
from services.trainer.progress import RunProgress
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import MetricRecord


@dataclass(frozen=True)
class Assignment:
    """What is trained somewhere. It can be sent anywhere: the data are fetched where it is run."""

    plugin: Plugin[Any]
    variant: str
    config: Config


@dataclass(frozen=True)
class Plan:
    """One model to train, and on which rows; without samples, so that it can be sent anywhere."""

    name: str
    number: int  # in the run, from 0: its seed is the run's seed plus this
    epochs: int
    epochs_after: int  # of the models that come later in the run, for the time left
    published: bool
    cut: Cut | None = None  # None: all rows, and nothing is validated

    def stage(self, train: Samples) -> Stage:
        """The same with its samples, of a training split."""
        mine = (train, None) if self.cut is None else (train.take(self.cut.train), train.take(self.cut.validation))
        return Stage(self.name, self.number, self.epochs, self.epochs_after, self.published, *mine)


@dataclass(frozen=True)
class Stage:
    """A plan with its samples."""

    name: str
    number: int
    epochs: int
    epochs_after: int
    published: bool
    train: Samples
    validation: Samples | None = None


Faults = Mapping[RunFolder, Exception]  # by run: what was raised by training a model of it
# Trains models that have no part in each other, of one run or of several, before `fit` is asked for them: what it
# leaves in a run's folder is what training here would, so that `fit` finds them trained. A fault ends its run only.
Engine = Callable[[Iterable["Planned"]], Faults]


def here(models: Iterable[Planned]) -> Faults:
    """The engine of one machine: trains nothing ahead, and asks for no model."""
    return {}


@dataclass(frozen=True)
class Recipe:
    """What all models of a run have in common."""

    plugin: Plugin[Any]
    variant: str
    config: Config
    metric: MetricRecord
    folder: RunFolder
    progress: RunProgress
    watchers: tuple[Any, ...] = ()  # Keras callbacks besides our own
    engine: Engine = here
    crew: Crew | None = None  # several devices that models are built on; None: one

    @property
    def scope(self) -> AbstractContextManager[Any]:
        """Models are built within it."""
        return nullcontext() if self.crew is None else self.crew.strategy.scope()

    @property
    def protocol(self) -> EvaluationProtocol:
        """How the variant is evaluated."""
        return self.plugin.variants[self.variant].protocol or self.plugin.protocol


@dataclass(frozen=True)
class Planned:
    """A model to train, of whatever run."""

    recipe: Recipe
    plan: Plan
