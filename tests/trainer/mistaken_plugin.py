"""The tiny plugin as somebody writes it who makes one mistake."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from plugins.contract import Data, Samples
from services.store import open_store
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.run_record import RunRecord
from tests.trainer.tiny_plugin import TinyConfig, draw
from tests.trainer.train_tiny import NoDatasets, Refused

NUMBERS = draw(100, 1)


class Mistaken(Refused):
    """Has some attributes and methods otherwise; what is trained all the same is refused, to be quick."""

    def __init__(self, **otherwise: Any) -> None:
        vars(self).update(otherwise)


class Measured(Mistaken):
    """Works its figures out itself: by what `measured` gives."""

    measured: Any = None

    def evaluate(self, model: Any, samples: Samples, config: TinyConfig) -> Mapping[str, float]:
        return self.measured(samples)


def softmax(units: int = 2) -> Any:
    """A layer that answers so many scores."""
    return keras.layers.Dense(units, activation="softmax")


def network(*layers: Callable[[], Any], takes: int = 4, **compiled: Any) -> Any:
    """What builds a network of such layers."""

    def build_model(config: TinyConfig, variant: str, train: Samples) -> Any:
        model = keras.Sequential([keras.Input((takes,)), *(layer() for layer in layers)])
        model.compile(
            **{"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **compiled}
        )
        return model

    return build_model


def data(train: Any = NUMBERS, test: Any = NUMBERS) -> Any:
    """What loads these splits."""
    return lambda config, datasets: Data(train, test)


def targets(values: Any) -> Samples:
    """The same numbers with other targets."""
    return Samples(NUMBERS.inputs, np.asarray(values))


def train_in(home: Path, plugin: Mistaken, resume: str | None = None) -> tuple[RunRecord, str]:
    """Train it: the run's record, and what was printed."""
    printed = io.StringIO()
    progress = PlainProgress(Console(file=printed, width=300), time.monotonic)
    bench = Bench(plugin, NoDatasets(), open_store(str(home / "store")), home / "runs", progress)
    overrides = () if resume else ("epochs=1",)
    return train(TrainRequest("tiny", overrides=overrides, resume=resume), bench), printed.getvalue()
