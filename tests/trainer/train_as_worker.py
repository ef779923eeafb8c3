"""`train_as_worker.py HOME` with TF_CONFIG: train with the other worker, and again, when the second one dies."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from services.core.errors import Unavailable
from services.store import open_store
from services.trainer.engines import LOCAL, crew_of
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.settings import TrainerSettings
from tests.trainer.plain_plugin import Plain
from tests.trainer.train_tiny import NoDatasets

DIED = 9
SETTINGS = ("devices=2", "epochs=2", "reduce_lr_patience=0")


class Dies(Plain):
    """In the middle of training."""

    def snapshot(self, model: Any) -> bytes | None:
        os._exit(DIED)


def main(home: Path) -> None:
    """Print what became of the second training."""
    crew = crew_of(LOCAL, TrainerSettings())
    assert crew is not None
    progress = PlainProgress(Console(), time.monotonic)
    bench = Bench(Plain(), NoDatasets(), open_store(str(home / "store")), home / "runs", progress, crew=crew)
    train(TrainRequest("tiny", overrides=SETTINGS), bench)
    try:
        train(TrainRequest("tiny", overrides=SETTINGS), bench if bench.leads else replace(bench, plugin=Dies()))
    except Unavailable as error:
        print(f"lost: {error.message}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
