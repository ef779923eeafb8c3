"""Results: small records of runs, kept in the repository, and the tables made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.core.card import BookFigure
from services.trainer.interval import Interval
from services.trainer.report.page import size_text
from services.trainer.results.measure import Served
from services.trainer.run_record import MetricRecord, RunRecord

_COLUMNS = (
    "plugin",
    "variant",
    "metric",
    "baseline",
    "book",
    "validated",
    "test",
    "95 % interval",
    "served",
    "besides",
    "parameters",
    "stored",
    "seed",
    "epochs",
    "train",
    "on",
)
_INTRODUCTION = """# Results

Written from the records in `docs/results/`, which `tensorgate reproduce` makes anew; nothing here is typed by hand.
*baseline*: the common-sense figure; *book*: what the book states; *validated*: at the best epoch, on what was held out
of training, mean over the folds; *test*: the published model on the test split, in memory; *95 % interval*: percentile
bootstrap of that figure over the test samples (Efron 1979; 1000 resamples), so luck in drawing the test split, not in
training; *served*: the figure through the gateway, from raw requests; *besides*: what else the plugin measures, on the
test split; *stored*: the published version's files; *train*: all fits of the run together.
"""


class Result(BaseModel):
    """What is worth keeping of a run: one line of the table, and what it takes to run it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plugin: str
    variant: str
    metric: MetricRecord
    baseline: float | None
    book: BookFigure | None
    validated: float | None
    test: float
    interval: Interval | None = None
    served: float | None
    parameters: int | None = None
    size: int | None = None
    seed: int
    epochs: int
    seconds: float
    day: date
    environment: dict[str, str]
    config: dict[str, Any] = {}
    metrics: dict[str, float] = {}


def result_of(run: RunRecord, served: Served | None) -> Result:
    """The line of a finished run."""
    name = run.metric.name
    return Result(
        plugin=run.plugin,
        variant=run.variant,
        metric=run.metric,
        baseline=run.baseline.get(name),
        book=run.book,
        validated=run.fold_means.get(name),
        test=run.metrics[name],
        interval=run.interval,
        served=served.value if served is not None else None,
        parameters=run.parameters,
        size=run.size,
        seed=run.seed,
        epochs=len(next(iter(run.final.history.values()), ())) if run.final is not None else 0,
        seconds=run.seconds["fit"],
        day=run.created.date(),
        environment=dict(run.environment),
        config=dict(run.config),
        metrics=dict(run.metrics),
    )


def write_result(folder: Path, result: Result) -> Path:
    """Keep it as `<plugin>-<variant>.json`, in place of an older one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.plugin}-{result.variant}.json"
    path.write_text(result.model_dump_json(indent=1) + "\n")
    return path


def read_results(folder: Path) -> list[Result]:
    """All results in a folder, by name."""
    return [Result.model_validate_json(path.read_text()) for path in sorted(folder.glob("*.json"))]


def results_page(results: Iterable[Result]) -> str:
    """The page in Markdown."""
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_cells, results)]
    return f"{_INTRODUCTION}\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(result: Result) -> Sequence[str]:
    book = result.book
    unit = f" ({result.metric.unit})" if result.metric.unit else ""
    return (
        result.plugin,
        result.variant,
        f"{result.metric.name}{unit}",
        _figure(result.baseline),
        f"{_figure(book.value)} ({book.metric}, {book.section})" if book is not None else "",
        _figure(result.validated),
        _figure(result.test),
        " to ".join(map(_figure, result.interval or ())),
        _figure(result.served),
        ", ".join(f"{name} {_figure(value)}" for name, value in _besides(result)),
        "" if result.parameters is None else f"{result.parameters:,}",
        "" if result.size is None else size_text(result.size),
        str(result.seed),
        str(result.epochs),
        f"{result.seconds:.0f} s",
        f"{result.day}, TensorFlow {result.environment['tensorflow']}",
    )


def _besides(result: Result) -> Iterator[tuple[str, float]]:
    """Figures of the run other than the one it is judged by; losses belong to its training."""
    for name, value in result.metrics.items():
        if name != result.metric.name and not name.endswith("loss"):
            yield name, value


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
