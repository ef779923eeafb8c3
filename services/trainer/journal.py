"""The run's record while the run goes on, and what it works with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from plugins.contract import Datasets, Plugin
from services.store import Store
from services.trainer.fit.crew import Crew
from services.trainer.fit.recipe import Engine, here
from services.trainer.progress import RunProgress
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import RunRecord, RunState, write_record


class RecordingDatasets(Datasets, Protocol):
    """Datasets that remember what they gave."""

    @property
    def fetched(self) -> Mapping[str, str]:
        """Content hash by file name."""
        ...


@dataclass(frozen=True)
class Bench:
    """What a run works with."""

    plugin: Plugin[Any]
    datasets: RecordingDatasets
    store: Store
    runs: Path
    progress: RunProgress
    engine: Engine = here
    crew: Crew | None = None  # this process and others that train with it

    @property
    def leads(self) -> bool:
        """Does this process judge and publish what was trained?"""
        return self.crew is None or self.crew.leads


class Journal:
    """Writes the record again with every change, so that a killed run shows how far it came.

    Holds the run's folder until it is closed. Raises FailedPrecondition where another process does.
    """

    def __init__(self, folder: RunFolder, record: RunRecord) -> None:
        self.folder = folder
        self.record = record
        self._lock = folder.hold()
        write_record(folder.path, record)

    def note(self, **changes: Any) -> None:
        """Change the record."""
        self.record = self.record.model_copy(update=changes)
        write_record(self.folder.path, self.record)

    def fail(self, error: Exception) -> list[str]:
        """Note what was raised; what there is to say besides. A run that had ended has: all but its report is there."""
        running = self.record.state is RunState.RUNNING
        state = RunState.FAILED if running else self.record.state
        self.note(state=state, error=f"{type(error).__name__}: {error}")
        said = []
        if error.__cause__ is not None:
            said.append(f"the whole traceback: {self.folder.write_traceback(error)}")
        if running and self.folder.metrics.exists():
            said.append(f"what was trained is kept: --resume {self.record.id} goes on")
        return said

    def close(self) -> None:
        """Let go of the run's folder."""
        self._lock.close()

    @contextmanager
    def timed(self, step: str) -> Iterator[Callable[[], None]]:
        """Add the time that a step takes; a resumed run's steps add up.

        Gives what notes the time so far, for a step that may be killed on the way.
        """
        started = time.monotonic() - self.record.seconds.get(step, 0.0)

        def note() -> None:
            self.note(seconds={**self.record.seconds, step: round(time.monotonic() - started, 3)})

        try:
            yield note
        finally:  # of a step that fails the time counts, too
            note()
