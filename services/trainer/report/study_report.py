"""A study's page: what was tried, what came of it, and what the settings have to do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib.colors import LinearSegmentedColormap

from plugins.contract import Search
from services.trainer.report.drawing import BLUE, MUTED, new_figure, style, to_png
from services.trainer.report.page import page_template
from services.trainer.run_record import RunRecord

PAGE_NAME = "study.html"
_FAINT_TO_STRONG = LinearSegmentedColormap.from_list("quality", ["#d9dee8", BLUE])


@dataclass(frozen=True)
class StudyReport:
    """A finished study, and the run that followed it."""

    name: str
    study: optuna.Study
    space: dict[str, Search] | Any
    run: RunRecord


def write_study_report(folder: Path, report: StudyReport) -> Path:
    """Write `study.html` and `parallel.png` into the study's folder; returns the page's path."""
    picture = draw_parallel(report)
    (folder / "parallel.png").write_bytes(picture)
    trials = sorted(report.study.trials, key=lambda trial: _rank(report.study, trial))
    page = page_template("study.html").render(report=report, trials=trials, names=list(report.space), picture=picture)
    path = folder / PAGE_NAME
    path.write_text(page, encoding="utf-8")
    return path


def _rank(study: optuna.Study, trial: Any) -> tuple[bool, float]:
    if trial.value is None:
        return True, float(trial.number)
    return False, -trial.value if study.direction is optuna.study.StudyDirection.MAXIMIZE else trial.value


def draw_parallel(report: StudyReport) -> bytes:
    """PNG of parallel coordinates: one line a finished trial over an axis a setting, the better the stronger."""
    done = [trial for trial in report.study.trials if trial.state is optuna.trial.TrialState.COMPLETE]
    done.sort(key=lambda trial: _rank(report.study, trial), reverse=True)  # the best are drawn last, on top
    names = [*report.space, report.run.metric.name]
    columns = [_places([trial.params.get(name, trial.value) for trial in done]) for name in names]
    figure = new_figure(1.8 + 1.9 * len(names), 3.6)
    axes = figure.add_subplot()
    style(axes, "What each trial tried, and what came of it")
    for number, heights in enumerate(zip(*columns, strict=True)):
        shade = _FAINT_TO_STRONG((number + 1) / len(done))
        axes.plot(range(len(names)), heights, color=shade, linewidth=1.6)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks([])
    axes.set_ylim(-0.14, 1.14)  # room for the ends' values, between the title and the names
    for place, name in enumerate(names):
        _write_ends(axes, place, [trial.params.get(name, trial.value) for trial in done])
    return to_png(figure)


def _places(values: list[Any]) -> np.ndarray[Any, Any]:
    """Heights 0 to 1 in the order of the values; equal steps, so that a logarithmic range does not crowd."""
    ordered = {value: place for place, value in enumerate(sorted(set(values)))}
    return np.array([ordered[value] for value in values]) / max(1, len(ordered) - 1)


def _write_ends(axes: Any, place: int, values: list[Any]) -> None:
    for value, height, align in ((min(values), -0.04, "top"), (max(values), 1.04, "bottom")):
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        axes.text(place, height, text, ha="center", va=align, fontsize=8, color=MUTED)
