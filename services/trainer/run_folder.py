"""The folder of a run: what lies where, and finding one again."""

from __future__ import annotations

import fcntl
import json
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from services.core.errors import FailedPrecondition, NotFound

CHECKPOINTS = "checkpoints"
_LOCK = ".lock"


@dataclass(frozen=True)
class RunFolder:
    """`<home>/runs/<run id>/`."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id is its folder's name."""
        return self.path.name

    @property
    def metrics(self) -> Path:
        """One JSON object an epoch, of every model that was trained, as it went."""
        return self.path / "metrics.jsonl"

    @property
    def history(self) -> Path:
        """The final model's epochs, as CSV."""
        return self.path / "history.csv"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's log, one folder a trained model."""
        return self.path / "tensorboard"

    @property
    def features(self) -> Path:
        """What came out of a model's frozen part, until the run is over."""
        return self.path / "features"

    @property
    def export(self) -> Path:
        """The SavedModel, as it was checked and published."""
        return self.path / "export"

    def activations(self, stage: str) -> Path:
        """What one trained model's layers made of a sample, a file an epoch."""
        return self.path / "activations" / stage.replace(" ", "-")

    def snapshots(self, stage: str) -> Path:
        """What one model made while it was trained, a picture an epoch."""
        return self.path / "snapshots" / stage.replace(" ", "-")

    def checkpoints(self, stage: str) -> Path:
        """Where one trained model's checkpoints are kept."""
        folder = self.path / CHECKPOINTS / stage.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def hold(self) -> IO[str]:
        """The folder's lock, until it is closed; the kernel gives it back however the process ends.

        Raises FailedPrecondition where another process has it.
        """
        lock = (self.path / _LOCK).open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise FailedPrecondition(
                f"One process at a time works on a run, and another goes on when it has ended. Received: {self.id}"
            ) from None
        return lock

    @property
    def is_held(self) -> bool:
        """Does a process work on the run?"""
        try:
            with (self.path / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            pass
        return False

    def write_traceback(self, error: Exception) -> Path:
        """Keep all that Python tells of a fault, for who needs more than its sentence."""
        path = self.path / "traceback.txt"
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        return path

    def write_config(self, config: Mapping[str, object]) -> None:
        """Keep what the run was asked to do."""
        (self.path / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def create_run(runs: Path, plugin: str, variant: str, now: datetime) -> RunFolder:
    """A new folder, named by time, plugin and variant; a number is added when two start in the same second."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{now:%Y%m%d-%H%M%S}-{plugin}-{variant}")
    for number in range(1, 1000):
        path = runs / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return RunFolder(path)
    raise RuntimeError(f"1000 runs started in the same second below {runs}")


def open_run(runs: Path, run: str) -> RunFolder:
    """The folder of a run that was started before. Raises NotFound with the newest ids."""
    path = runs / run
    if Path(run).name != run or not path.is_dir():
        newest = sorted((folder.name for folder in runs.glob("*") if folder.is_dir()), reverse=True)[:5]
        raise NotFound(
            f"A run is one of the folders below {runs} (newest: {', '.join(newest) or 'none'}). Received: {run!r}"
        )
    return RunFolder(path)
