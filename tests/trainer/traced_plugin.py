"""The tiny plugin, whose data come from a mirror, and which leaves a note of each process that it trains in."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from plugins.contract import Array, Data, Dataset, Datasets, Range, Samples, Search
from tests.trainer.tiny_plugin import TinyConfig, draw
from tests.trainer.train_tiny import Refused

DEADLY, FAULTY = 7, 6  # `units` whose first trial kills its process, and whose trials raise


def read_npz(file: Path) -> Mapping[str, Array]:
    """The arrays in it."""
    with np.load(file) as arrays:
        return dict(arrays)


NUMBERS = Dataset("numbers.npz", None, read_npz, ())


def fill(mirror: Path) -> Path:
    """Put the data into the folder."""
    mirror.mkdir()
    np.savez(mirror / NUMBERS.file, inputs=draw(400, 1).inputs, targets=draw(400, 1).targets)
    return mirror


class TracedConfig(TinyConfig):
    """Where the notes go, and the process that must not be killed."""

    notes: Path
    driver: int


class Traced(Refused):
    """Some settings are bad for it."""

    name = "traced"
    config: ClassVar[type[TinyConfig]] = TracedConfig
    search: Mapping[str, Search] = MappingProxyType(  # type: ignore[misc]  # a ClassVar of the base
        {"learning_rate": Range(1e-6, 3e-2, log=True), "units": Range(2, 8)}
    )

    def load_data(self, config: TinyConfig, datasets: Datasets) -> Data:
        arrays = datasets.fetch(NUMBERS)
        return Data(train=Samples(arrays["inputs"], arrays["targets"]), test=draw(100, 2))

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        assert isinstance(config, TracedConfig)
        note = config.notes / f"{config.units}-{os.getpid()}"
        first = not list(config.notes.glob(f"{config.units}-*"))
        note.touch()
        if config.units == DEADLY and first and os.getpid() != config.driver:
            os.kill(os.getpid(), signal.SIGKILL)
        if config.units == FAULTY and os.getpid() != config.driver:  # which rehearses
            raise ValueError("six units are too many")
        return super().build_model(config, variant, train)
