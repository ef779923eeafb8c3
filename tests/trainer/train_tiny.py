"""`train_tiny.py HOME`: train the tiny plugin behind a gate that refuses."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from plugins.contract import Array, Data, Dataset
from services.store import open_store
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from tests.trainer.tiny_plugin import Tiny


class Refused(Tiny):
    """No model beats this baseline, so nothing is exported."""

    def baseline(self, data: Data) -> Mapping[str, float]:
        return {"accuracy": 1.0}


class NoDatasets:
    """The tiny plugin draws its own."""

    fetched: Mapping[str, str] = MappingProxyType({})

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        raise AssertionError(dataset)


SETTINGS = ("epochs=25", "early_stopping_patience=24", "reduce_lr_patience=1", "reduce_lr_factor=0.5")


def main(home: Path, resume: str | None = None) -> None:
    """Train where `home` says, or go on with the run `resume`."""
    bench = Bench(
        Refused(),
        NoDatasets(),
        open_store(str(home / "store")),
        home / "runs",
        PlainProgress(Console(), time.monotonic),
    )
    train(TrainRequest("tiny", overrides=() if resume else SETTINGS, resume=resume), bench)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
