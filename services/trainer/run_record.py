"""What a run leaves behind: the record that `run.json` keeps, and what the report draws besides."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plugins.contract import Figure, Metric
from services.core.card import BookFigure, Expected, Task
from services.core.errors import DataLoss, NotFound
from services.trainer.heads import Head
from services.trainer.interval import Interval
from services.trainer.run_folder import RunFolder

_log = logging.getLogger(__name__)

RECORD_NAME = "run.json"
History = Mapping[str, tuple[float, ...]]  # each figure by name, epoch by epoch


class _Frozen(BaseModel):
    # A run that diverged has figures that are NaN; as null they could not be read back.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class RunState(StrEnum):
    """How far a run came."""

    RUNNING = "running"
    KILLED = "killed"  # never written: running, says its record, but no process is
    PUBLISHED = "published"
    REJECTED = "rejected"
    TRAINED = "trained"  # a member of an ensemble, which is published instead
    FAILED = "failed"


class MetricRecord(_Frozen):
    """The figure the run is judged by."""

    name: str
    higher_is_better: bool
    unit: str = ""

    def better(self, one: float, other: float) -> bool:
        """Is `one` strictly better? NaN is better than nothing."""
        return one > other if self.higher_is_better else one < other


def metric_record(metric: Metric) -> MetricRecord:
    """The plugin's figure, as a record keeps it."""
    return MetricRecord(**asdict(metric))


class StageRecord(_Frozen):
    """One model trained: a fold (`metrics` on its validation part), or the final one (`metrics` empty)."""

    name: str = Field(description="hold-out, fold 1, fold 2, ..., final")
    metrics: Mapping[str, float] = Field(default_factory=dict)
    best_epoch: int = Field(description="counted from 1; the last where nothing is validated")
    history: History = Field(description="loss, accuracy, val_loss, ...: one value an epoch")


class Verdict(_Frozen):
    """What the gate says, and why."""

    passed: bool
    reasons: tuple[str, ...]


class RunRecord(_Frozen):
    """One execution of the trainer."""

    schema_version: int = 1
    id: str
    plugin: str
    variant: str
    title: str
    task: Task
    model: str = Field(description="the name it is published under")
    config: Mapping[str, Any]
    seed: int
    overrides: tuple[str, ...] = ()
    created: datetime
    state: RunState = RunState.RUNNING
    error: str = ""
    metric: MetricRecord
    book: BookFigure | None = None
    samples: Mapping[str, int] = Field(default_factory=dict, description="train and test: number of samples")
    baseline: Mapping[str, float] = Field(default_factory=dict)
    folds: tuple[StageRecord, ...] = ()
    final: StageRecord | None = Field(default=None, description="the model that is published")
    parameters: int | None = Field(default=None, description="numbers in the model, trained or not")
    metrics: Mapping[str, float] = Field(default_factory=dict, description="of the final model, on the test split")
    interval: Interval | None = Field(default=None, description="where 95 % of bootstrapped headline figures lie")
    expected: Mapping[str, Expected] = Field(
        default_factory=dict, description="how its predictions on the test split are spread, by output"
    )
    seconds: Mapping[str, float] = Field(default_factory=dict, description="by step: load_data, fit, export, ...")
    gate: Verdict | None = None
    forced: bool = Field(default=False, description="published against the gate's verdict")
    version: int | None = None
    label: str | None = None
    size: int | None = Field(default=None, description="bytes of the published version in the store")
    data_sha256: Mapping[str, str] = Field(default_factory=dict, description="by the file name of each dataset")
    environment: Mapping[str, str] = Field(default_factory=dict, description="versions, git commit and processor")

    @property
    def fold_means(self) -> Mapping[str, float]:
        """Each figure's mean over the folds (book 4.2: the validation score of K-fold)."""
        names = self.folds[0].metrics if self.folds else ()
        return {name: sum(fold.metrics[name] for fold in self.folds) / len(self.folds) for name in names}


@dataclass(frozen=True)
class Mistake:
    """A test sample that the model got badly wrong, as people see it."""

    shown: bytes | str  # PNG, or text
    target: str
    predicted: str
    loss: float  # classify: 1 - score of the right label; regress: absolute error


@dataclass(frozen=True)
class Answers:
    """One head's answers on the test split, and the worst of them."""

    head: Head
    mistakes: Sequence[Mistake] = ()


@dataclass(frozen=True)
class Report:
    """What report.html shows besides the run's folder; no answers where the task has no single right one."""

    record: RunRecord
    model: Any  # the trained keras.Model, for its diagram and summary
    answers: Sequence[Answers] = ()
    figures: Sequence[Figure] = ()


def write_record(run_folder: Path, record: RunRecord) -> None:
    """Replace `run.json` in one step, so that a reader never sees half of one."""
    new = run_folder / f".{RECORD_NAME}.new"
    new.write_text(record.model_dump_json(indent=1))
    new.replace(run_folder / RECORD_NAME)


def read_record(run_folder: Path) -> RunRecord:
    """The record of the run in a folder. Raises NotFound when it holds none, DataLoss when it cannot be read."""
    path = run_folder / RECORD_NAME
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFound(f"A run's folder holds {RECORD_NAME}. Received: {run_folder}") from None
    except ValidationError as error:
        raise DataLoss(f"{path} cannot be read: {error.error_count()} faults") from error
    if record.state is RunState.RUNNING and not RunFolder(run_folder).is_held:
        return record.model_copy(update={"state": RunState.KILLED})
    return record


def read_records(runs: Path) -> list[RunRecord]:
    """All runs below a folder, oldest first; a record that cannot be read, of another release, is told and left out."""
    records = []
    for path in runs.glob(f"*/{RECORD_NAME}"):
        try:
            records.append(read_record(path.parent))
        except DataLoss as error:
            _log.warning("%s", error.message)
    return sorted(records, key=lambda run: run.created)
