"""What a fit tells people, epoch by epoch: a line on the screen and a line in `metrics.jsonl`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from services.core.errors import InvalidArgument
from services.trainer.progress import EpochDone, RunProgress
from services.trainer.run_record import MetricRecord


@dataclass(frozen=True)
class Lines:
    """What the log must know of one model's training."""

    stage: str
    epochs: int
    steps: int  # batches an epoch
    epochs_after: int  # of the models that come later in the run


class EpochLog(keras.callbacks.Callback):
    """Tells the progress and appends to the file. Raises InvalidArgument when the plugin's metric is not there.

    `metric` is None where nothing is validated: then any figures do.
    """

    def __init__(self, lines: Lines, metric: MetricRecord | None, file: Path, progress: RunProgress) -> None:
        super().__init__()
        self._lines, self._metric, self._file, self._progress = lines, metric, file, progress
        self._started = 0.0
        self._first = self._epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        self._started = time.monotonic()
        self._first = -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember where in the training we are."""
        self._epoch = epoch
        if self._first < 0:
            self._first = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar."""
        self._progress.batch((self._epoch + (batch + 1) / self._lines.steps) / self._lines.epochs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell the figures."""
        figures = {name: float(value) for name, value in (logs or {}).items()}
        if self._metric is not None and f"val_{self._metric.name}" not in figures:
            raise InvalidArgument(
                f"A plugin's metric is one that its model is compiled with. Received: {self._metric.name!r}, "
                f"and a model with {', '.join(name for name in figures if not name.startswith('val_'))}"
            )
        pace = (time.monotonic() - self._started) / (epoch + 1 - self._first)
        left = pace * (self._lines.epochs - epoch - 1 + self._lines.epochs_after)
        self._progress.epoch(EpochDone(self._lines.stage, epoch + 1, self._lines.epochs, figures, left))
        with self._file.open("a") as file:
            file.write(json.dumps({"stage": self._lines.stage, "epoch": epoch + 1, **figures}) + "\n")


def trim_lines(file: Path, stage: str, epochs: int) -> None:
    """Take away what was logged after the checkpoint that a killed fit goes on from, and a line cut in half."""
    if not file.exists():
        return
    kept = [line for line in file.read_text().splitlines(keepends=True) if _is_kept(line, stage, epochs)]
    file.write_text("".join(kept))


def trim_rows(file: Path, epochs: int) -> None:
    """The same for a CSV file: the header and one row an epoch stay."""
    if file.exists():
        file.write_text("".join(file.read_text().splitlines(keepends=True)[: epochs + 1]))


def _is_kept(line: str, stage: str, epochs: int) -> bool:
    try:
        logged = json.loads(line)
    except json.JSONDecodeError:
        return False
    return bool(logged["stage"] != stage or logged["epoch"] <= epochs)
