"""`report.html`: one run on one page that a person likes to read, with every picture inside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.core.card import CARD_PATH, Card
from services.core.tryout import Gateway, try_out
from services.trainer.report.answers import confusion_matrix, draw_confusion, draw_residuals
from services.trainer.report.curves import draw_curves, draw_smoothed, mean_curve
from services.trainer.report.diagram import draw_diagram
from services.trainer.report.scorecard import Scorecard, scorecard
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import Answers, Mistake, Report, RunRecord

REPORT_NAME = "report.html"


@dataclass(frozen=True)
class Bar:
    """One figure of the header, beside the others: `share` is its length, 0 to 1."""

    label: str
    value: float
    share: float
    kind: str = ""


def write_report(folder: Path, report: Report) -> Path:
    """Write `report.html`, `curves.png` and `diagram.png` into a run's folder; returns the page's path."""
    curves, diagram = draw_curves(report.record), draw_diagram(report.model)
    (folder / "curves.png").write_bytes(curves)
    (folder / "diagram.png").write_bytes(diagram)
    page = page_template("report.html").render(
        record=report.record,
        report=report,
        bars=bars(report.record),
        beside_book=beside_book(report.record),
        curves=curves,
        smoothed=draw_smoothed(report.record),
        diagram=diagram,
        overfitting=overfitting(report.record),
        fold_rows=fold_rows(report.record),
        lines=lines_to_try(folder),
        answers=[_shown(answers, len(report.answers) == 1) for answers in report.answers],
    )
    path = folder / REPORT_NAME
    path.write_text(page, encoding="utf-8")
    return path


def page_template(name: str) -> Any:
    """A page beside this module, as a template."""
    here = PackageLoader("services.trainer.report", ".")
    environment = Environment(loader=here, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["data_uri"] = data_uri
    environment.filters["figure"] = figure_text
    environment.filters["bytes"] = size_text
    environment.tests["picture"] = lambda shown: isinstance(shown, bytes)
    return environment.get_template(name)


def data_uri(picture: bytes) -> str:
    """A PNG or JPEG as an address that needs no second file."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def figure_text(value: float) -> str:
    """A figure as people write it: four digits that matter, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def size_text(size: int) -> str:
    """Bytes as people write them."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def bars(record: RunRecord) -> tuple[Bar, ...]:
    """Ours, the folds' mean, the book's and the baseline, on one scale."""
    name = record.metric.name
    figures = [("this run", record.metrics.get(name), "ours"), ("mean of the folds", record.fold_means.get(name), "")]
    if len(record.folds) < 2:
        figures.pop()
    if record.book is not None and record.book.metric == name:
        figures.append((f"the book, {record.book.section}", record.book.value, ""))
    figures.append(("baseline", record.baseline.get(name), ""))
    known = [(label, value, kind) for label, value, kind in figures if value is not None and np.isfinite(value)]
    longest = max((abs(value) for _, value, _ in known), default=0.0) or 1.0
    return tuple(Bar(label, value, abs(value) / longest, kind) for label, value, kind in known)


def beside_book(record: RunRecord) -> str:
    """How the run stands to the book's figure; empty where the two cannot be compared."""
    name, book = record.metric.name, record.book
    if book is None or book.metric != name or name not in record.metrics:
        return ""
    behind = record.metric.better(book.value, record.metrics[name])
    return f"{'behind' if behind else 'as good as'} the book's {figure_text(book.value)}"


def overfitting(record: RunRecord) -> str:
    """Whether validation got worse while training went on, and from when (book 4.4); empty where nothing validated."""
    curve = mean_curve([fold.history for fold in record.folds], f"val_{record.metric.name}")
    if not curve or record.final is None:
        return ""
    best, last = min(record.final.best_epoch, len(curve)), len(curve)
    if best == last:
        return f"Validation was best in the last of {last} epochs: no overfitting seen."
    figures = f"{record.metric.name} {figure_text(curve[best - 1])}"
    return f"Validation was best in epoch {best} of {last} ({figures}) and ended at {figure_text(curve[-1])}."


def fold_rows(record: RunRecord) -> Sequence[tuple[str, Mapping[str, float]]]:
    """The figures of each fold, their mean and their spread; none for a single one."""
    if len(record.folds) < 2:
        return ()
    spread = {name: stdev([fold.metrics[name] for fold in record.folds]) for name in record.fold_means}
    rows = [(f"{fold.name}, best epoch {fold.best_epoch}", fold.metrics) for fold in record.folds]
    return (*rows, ("mean", record.fold_means), ("standard deviation", spread))


def lines_to_try(folder: Path) -> Sequence[str]:
    """Lines to paste in the run's folder, where the example they send lies too; none for a run not exported."""
    card_file = RunFolder(folder).export / CARD_PATH
    if not card_file.is_file():
        return ()
    trial = try_out(Card.model_validate_json(card_file.read_text()), Gateway(), Path())
    for path, content in trial.files.items():
        (folder / path).write_bytes(content)
    return trial.lines


@dataclass(frozen=True)
class Shown:
    """A picture of a head's answers, what it shows in words, what its scores are worth, and the worst answers."""

    title: str
    picture: bytes
    said: str
    is_square: bool
    scores: Scorecard | None
    mistakes: Sequence[Mistake]


def _shown(answers: Answers, alone: bool) -> Shown:
    head = answers.head
    scores = scorecard(head.targets, head.predictions, head.labels) if head.labels else None
    title = ("Right and wrong" if head.labels else "Answers and truth") + ("" if alone else f": {head.field.name}")
    if head.labels:
        picture = draw_confusion(head.targets, head.predictions, head.labels)
        said = _mix_up(confusion_matrix(head.targets, head.predictions), head.labels)
    else:
        picture = draw_residuals(head.targets, head.predictions, head.field.unit)
        said = _off_by(np.abs(head.predictions.reshape(-1) - head.targets.reshape(-1)), head.field.unit)
    return Shown(title, picture, said, bool(head.labels), scores, answers.mistakes)


def _off_by(errors: Any, unit: str) -> str:
    half, most = np.quantile(errors, [0.5, 0.9])
    return f"Half of the answers are within {half:.3g} {unit} of the truth, nine in ten within {most:.3g} {unit}."


def _mix_up(counts: Any, labels: Sequence[str]) -> str:
    wrong = counts - np.diag(np.diag(counts))
    said = f"{wrong.sum():,} of {counts.sum():,} answers are wrong."
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        said += f" The most frequent mistake: {labels[row]} taken for {labels[column]}, {wrong[row, column]} times."
    return said
