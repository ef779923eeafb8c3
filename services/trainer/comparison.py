"""Variants of a plugin side by side: each trained and validated, none published, all their curves in one picture.

What the book does to see where capacity and regularisation lead (4.4).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from plugins.contract import AllData, Untrained
from services.core.errors import InvalidArgument
from services.store import open_store
from services.trainer.configuration import resolve_config, variant_of
from services.trainer.data import load
from services.trainer.discovery import load_plugin
from services.trainer.fit.precision import make_deterministic
from services.trainer.fit.protocols import best_epoch
from services.trainer.fit.recipe import Recipe
from services.trainer.journal import Bench
from services.trainer.pipeline import fit_folds
from services.trainer.progress import progress_on
from services.trainer.report.curves import mean_curve
from services.trainer.report.drawing import BLUE, INK, MUTED, ORANGE, new_figure, style, to_png
from services.trainer.report.page import page_template
from services.trainer.run_folder import RunFolder, create_run
from services.trainer.run_record import History, MetricRecord
from services.trainer.settings import TrainerSettings
from services.trainer.sources.datasets import DatasetFetcher

RECORD_NAME, PICTURE_NAME, PAGE_NAME = "comparison.json", "curves.png", "report.html"
_LOSS = MetricRecord(name="loss", higher_is_better=False)
_COLOURS = (INK, BLUE, ORANGE, "#2a9d6f", "#8e5bd0", "#c8453c", "#b28a00", "#17a2b8")
_ACROSS = 3  # small charts in a row


class _Frozen(BaseModel):
    # A variant that diverged has figures that are NaN; as null they could not be read back.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Compared(_Frozen):
    """How one variant learned."""

    variant: str
    summary: str
    parameters: int
    config: Mapping[str, Any]
    seconds: float
    history: History = Field(description="each figure, epoch by epoch; the mean where there are several folds")

    @property
    def best_epoch(self) -> int:
        """Where its validation loss is lowest, counted from 1: it overfits from there on."""
        return best_epoch(_LOSS, [self.history])

    @property
    def overfits(self) -> bool:
        """Did it go on training after that?"""
        return self.best_epoch < len(self.history["val_loss"])


class Comparison(_Frozen):
    """The variants of a plugin that were compared, in the order they were asked for."""

    plugin: str
    title: str
    metric: MetricRecord
    overrides: tuple[str, ...]
    created: datetime
    variants: tuple[Compared, ...]


@dataclass(frozen=True)
class CompareRequest:
    """What a person asks for."""

    plugin: str
    variants: Sequence[str]
    overrides: tuple[str, ...] = ()


def compare_here(request: CompareRequest, settings: TrainerSettings) -> tuple[Path, Comparison]:
    """Compare variants of an installed plugin with this machine's datasets and terminal. Raises TensorgateError."""
    progress = progress_on(Console(), time.monotonic)
    datasets = DatasetFetcher(settings.datasets_folder, settings.datasets, progress.step)
    store = open_store(settings.store_url)
    return compare(request, Bench(load_plugin(request.plugin), datasets, store, settings.comparisons, progress))


def compare(request: CompareRequest, bench: Bench) -> tuple[Path, Comparison]:
    """Train each variant on the same data as its protocol validates it; a folder with page, picture and JSON.

    Raises InvalidArgument for fewer than two variants, for one that is not trained, and for settings that do not fit.
    """
    _check(request, bench)
    now = datetime.now(UTC)
    folder = create_run(bench.runs, bench.plugin.name, "compared", now).path
    try:
        variants = tuple(_learned(name, request, bench, folder) for name in request.variants)
    finally:
        bench.progress.close()
    plugin = bench.plugin
    comparison = Comparison(
        plugin=plugin.name,
        title=plugin.title,
        metric=MetricRecord(**asdict(plugin.metric)),
        overrides=request.overrides,
        created=now,
        variants=variants,
    )
    (folder / RECORD_NAME).write_text(comparison.model_dump_json(indent=1) + "\n")
    picture = draw_comparison(comparison)
    (folder / PICTURE_NAME).write_bytes(picture)
    content = page_template("comparison.html").render(comparison=comparison, picture=picture)
    (folder / PAGE_NAME).write_text(content, encoding="utf-8")
    bench.progress.step(f"report {folder / PAGE_NAME}")
    return folder, comparison


def _check(request: CompareRequest, bench: Bench) -> None:
    """All that can be wrong with what was asked is told before anything is trained."""
    if len(set(request.variants)) < 2 or len(set(request.variants)) < len(request.variants):
        raise InvalidArgument(f"Two variants or more are compared, each once. Received: {', '.join(request.variants)}")
    for name in request.variants:
        resolve_config(bench.plugin, name, request.overrides)
        if isinstance(variant_of(bench.plugin, name)[1].protocol or bench.plugin.protocol, AllData | Untrained):
            raise InvalidArgument(f"Compared is how variants validate. Received: {name}, which is not validated")


def _learned(name: str, request: CompareRequest, bench: Bench, folder: Path) -> Compared:
    plugin = bench.plugin
    config = resolve_config(plugin, name, request.overrides)
    bench.progress.step(f"variant {name}")
    (folder / name).mkdir()
    make_deterministic(config)
    train = load(plugin, config, bench.datasets).train
    recipe = Recipe(
        plugin, name, config, MetricRecord(**asdict(plugin.metric)), RunFolder(folder / name), bench.progress
    )
    begun = time.monotonic()
    model, folds = fit_folds(recipe, train)
    histories = [fold.history for fold in folds]
    return Compared(
        variant=name,
        summary=plugin.variants[name].summary,
        parameters=model.count_params(),
        config=config.model_dump(mode="json"),
        seconds=round(time.monotonic() - begun, 3),
        history={figure: tuple(mean_curve(histories, figure)) for figure in histories[0]},
    )


def draw_comparison(comparison: Comparison) -> bytes:
    """PNG: all validation curves on one chart a figure, lowest loss marked; below, each variant's own two losses."""
    variants, metric = comparison.variants, comparison.metric.name
    rows = -(-len(variants) // _ACROSS)
    figure = new_figure(11, 4 + 2.4 * rows)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[4, 2.4 * rows]).ravel()
    names = ["loss"] if metric == "loss" else ["loss", metric]
    for axes, name in zip(above.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        style(axes, f"validation {name}", "epoch")
        _overlay(axes, variants, f"val_{name}")
    small = below.subplots(rows, _ACROSS, sharey=True, squeeze=False).ravel()
    for axes, variant in zip(small, variants, strict=False):
        style(axes, variant.variant, "epoch", "loss")
        _own(axes, variant)
    for axes in small[len(variants) :]:
        axes.set_visible(False)
    return to_png(figure)


def _overlay(axes: Any, variants: Sequence[Compared], name: str) -> None:
    for variant, colour in zip(variants, _colours(len(variants)), strict=True):
        curve, best = variant.history[name], variant.best_epoch
        axes.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=1.8, label=variant.variant)
        axes.plot(best, curve[best - 1], "o", color=colour, markersize=6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def _own(axes: Any, variant: Compared) -> None:
    for name, colour, label in (("loss", BLUE, "training"), ("val_loss", ORANGE, "validation")):
        curve = variant.history[name]
        axes.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=1.8, label=label)
    axes.axvline(variant.best_epoch, color=MUTED, linestyle=(0, (3, 3)), linewidth=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=7, labelcolor=INK)


def _colours(count: int) -> list[str]:
    return [_COLOURS[number % len(_COLOURS)] for number in range(count)]
