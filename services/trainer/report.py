"""report.html: what came of a run, in one file a person likes to read; and its pictures beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.core.card import CARD_PATH, Card, Task
from services.core.tryout import Gateway, try_out
from services.trainer.assessment import confusion_matrix, predicted_and_true
from services.trainer.curves import best_epoch_of, learning_curves, mean_curve
from services.trainer.diagram import diagram
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import Mistake, Report, RunRecord, RunState


@dataclass(frozen=True)
class Picture:
    """A picture on the page."""

    caption: str
    png: bytes

    @property
    def address(self) -> str:
        """The picture itself, as an address."""
        return data_address(self.png)


@dataclass(frozen=True)
class Compared:
    """One bar of the headline: a figure and how long its bar is, 0 to 1."""

    what: str
    value: float
    share: float
    ours: bool = False


def write_report(folder: Path, report: Report) -> None:
    """Write report.html, curves.png and model.png into a run's folder.

    The lines to try the model come from the card of its export, where it was exported.
    """
    model, curves = diagram(report.model), learning_curves(report.record)
    (folder / "model.png").write_bytes(model)
    if curves is not None:
        (folder / "curves.png").write_bytes(curves)
    page = Environment(
        loader=PackageLoader("services.trainer", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")
    text = page.render(
        run=report.record,
        state=state_of(report.record),
        headline=headline(report.record),
        overfitting=overfitting(report.record),
        curves=curves and Picture("Learning curves", curves),
        fold_rows=list(fold_rows(report.record)),
        answers=_answers(report),
        mistakes=[_shown(mistake) for mistake in report.mistakes],
        figures=[Picture(figure.caption, figure.png) for figure in report.figures],
        diagram=Picture("Layers", model),
        try_lines=_try_lines(folder),
    )
    (folder / "report.html").write_text(text)


def data_address(content: bytes) -> str:
    """A picture's bytes as an address that needs no second file."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def state_of(record: RunRecord) -> str:
    """How the run ended, in a few words."""
    if record.state is RunState.PUBLISHED:
        labelled = f", now {record.label}" if record.label else ""
        forced = ", although the gate refused it" if record.forced else ""
        return f"published as {record.model} version {record.version}{labelled}{forced}"
    if record.state is RunState.REJECTED:
        return "refused by the gate, not published"
    return record.state.value


def headline(record: RunRecord) -> Sequence[Compared]:
    """Our test figure beside the folds' mean, the book's and the baseline: longer bars are larger figures."""
    name = record.metric.name
    figures: list[tuple[str, float, bool]] = []
    if name in record.metrics:
        figures.append(("this run, test split", record.metrics[name], True))
    if len(record.folds) > 1 and name in record.fold_means:
        figures.append((f"mean of {len(record.folds)} folds", record.fold_means[name], True))
    if record.book is not None and record.book.metric == name:
        figures.append((f"the book, section {record.book.section}", record.book.value, False))
    if name in record.baseline:
        figures.append(("common-sense baseline", record.baseline[name], False))
    largest = max((abs(value) for _, value, _ in figures), default=0.0) or 1.0
    return [Compared(what, value, abs(value) / largest, ours) for what, value, ours in figures]


def overfitting(record: RunRecord) -> str:
    """Whether validation got worse while training got better, and from when (book 4.4)."""
    best = best_epoch_of(record)
    curve = mean_curve([fold.history for fold in record.folds], f"val_{record.metric.name}")
    if best is None or not curve:
        return "Nothing was validated, so nothing can be said of overfitting."
    name, last = record.metric.name, len(curve)
    if best == last:
        return f"Validation was best in the last of {last} epochs: no overfitting seen yet; more epochs may help."
    return (
        f"Validation was best in epoch {best} of {last} ({name} {curve[best - 1]:.4g}); from there it overfits and "
        f"ends at {curve[-1]:.4g}."
    )


def fold_rows(record: RunRecord) -> Iterator[Mapping[str, str]]:
    """The folds' validation figures, row by row, then mean and spread."""
    if len(record.folds) < 2:
        return
    for fold in record.folds:
        yield {"fold": fold.name, "best epoch": str(fold.best_epoch), **_figures(fold.metrics)}
    yield {"fold": "mean", "best epoch": "", **_figures(record.fold_means)}
    spread = {name: stdev([fold.metrics[name] for fold in record.folds]) for name in record.fold_means}
    epochs = fmean(fold.best_epoch for fold in record.folds)
    yield {"fold": "standard deviation", "best epoch": f"{epochs:.1f} on average", **_figures(spread)}


def _figures(figures: Mapping[str, float]) -> Mapping[str, str]:
    return {name: f"{value:.4f}" for name, value in figures.items()}


def _answers(report: Report) -> Picture | None:
    if report.targets is None or report.predictions is None:
        return None
    if report.record.task is Task.CLASSIFY:
        return Picture("Confusion matrix", confusion_matrix(report.targets, report.predictions, report.labels))
    unit = report.record.metric.unit
    return Picture("Predicted beside true", predicted_and_true(report.targets, report.predictions, unit))


def _shown(mistake: Mistake) -> Mapping[str, Any]:
    picture = data_address(mistake.shown) if isinstance(mistake.shown, bytes) else None
    return {"mistake": mistake, "picture": picture}


def _try_lines(folder: Path) -> Sequence[str]:
    """Lines to paste in the run's folder, where the example picture lies too."""
    card_file = RunFolder(folder).export / CARD_PATH
    if not card_file.is_file():
        return ()
    trial = try_out(Card.model_validate_json(card_file.read_text()), Gateway(), Path())
    for path, content in trial.files.items():
        (folder / path).write_bytes(content)
    return trial.lines
