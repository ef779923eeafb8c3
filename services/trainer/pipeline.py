"""The loop that knows no plugin.

load_data -> baseline -> fit -> evaluate -> gate -> export -> check -> publish -> label
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from rich.console import Console

from plugins.contract import AllData, Config, Plugin, Samples, Untrained
from services.core.errors import FailedPrecondition
from services.core.refs import STABLE, check_label, check_model_name
from services.store import Store, open_store
from services.trainer.configuration import resolve_config, validate_config, variant_of
from services.trainer.data import Part, gaps, load
from services.trainer.discovery import load_plugin
from services.trainer.engines import LOCAL, crew_of, engine_of
from services.trainer.environment import environment
from services.trainer.fit.figures import baseline_of, figures_on
from services.trainer.fit.fitting import fit, fresh_model
from services.trainer.fit.precision import make_deterministic
from services.trainer.fit.protocols import FINAL, best_epoch, cuts, trains_again
from services.trainer.fit.recipe import Plan, Planned, Recipe
from services.trainer.interval import Interval, figure_interval
from services.trainer.journal import Bench, Journal
from services.trainer.progress import figures_text, progress_on
from services.trainer.rehearsal import rehearse
from services.trainer.release.gate import Candidate, Standing, judge
from services.trainer.release.publishing import Label, publish
from services.trainer.report.page import write_report
from services.trainer.report.reporting import Finished, finished, report_of
from services.trainer.run_folder import create_run, open_run
from services.trainer.run_record import RunRecord, RunState, StageRecord, metric_record, read_record
from services.trainer.settings import TrainerSettings
from services.trainer.sources.datasets import DatasetFetcher


@dataclass(frozen=True)
class TrainRequest:
    """What a person asks for."""

    plugin: str
    variant: str | None = None  # the plugin's first
    overrides: tuple[str, ...] = ()
    model: str | None = None  # the plugin's name
    label: str | None = STABLE  # moved to the new version; None: none is
    force: bool = False  # publish against the gate's verdict
    publish: bool = True  # and judge whether it may be
    resume: str | None = None  # the id of a run that was killed: goes on with what it was asked
    engine: str = LOCAL  # where models are trained; the rest is done here
    if_changed: bool = False  # only if the data are others than those of `stable`


def train_and_publish(request: TrainRequest, settings: TrainerSettings) -> RunRecord | None:
    """Train an installed plugin with this machine's store, datasets and terminal; None: the data have not changed.

    Where TF_CONFIG names workers, this process is one of those that train together. Raises TensorgateError.
    """
    crew = crew_of(request.engine, settings)
    with engine_of(request.engine, settings) as engine:
        bench = replace(bench_of(request.plugin, settings), engine=engine, crew=crew)
        if request.if_changed and trained_on_the_same(request, bench):
            return None
        if bench.leads:
            return train(request, bench)
        with TemporaryDirectory() as runs:  # the first worker keeps what is worth keeping
            return train(request, replace(bench, runs=Path(runs)))


def trained_on_the_same(request: TrainRequest, bench: Bench) -> bool:
    """Compares the content of the datasets alone; settings and code may have changed. They are read for it."""
    plugin = bench.plugin
    standing = _standing(bench.store, model_name(request.model, plugin))
    if standing is None:
        return False
    load(plugin, resolve_config(plugin, request.variant, request.overrides), bench.datasets)
    alike = standing.card.lineage.data_sha256 == bench.datasets.fetched
    told = f"not trained: the data are those of stable (version {standing.version})"
    bench.progress.step(told if alike else f"the data are others than those of stable (version {standing.version})")
    return alike


def bench_of(plugin: str, settings: TrainerSettings) -> Bench:
    """An installed plugin with this machine's store, datasets and terminal. Raises TensorgateError."""
    progress = progress_on(Console(), time.monotonic)
    datasets = DatasetFetcher(settings.datasets_folder, settings.datasets, progress.step)
    return Bench(load_plugin(plugin), datasets, open_store(settings.store_url), settings.runs, progress)


def train(request: TrainRequest, bench: Bench) -> RunRecord:
    """Run the whole road for one plugin; returns the record, PUBLISHED, REJECTED or, if not to be published, TRAINED.

    A fault marks the run FAILED and is raised; one that is killed reads as KILLED. Both can be gone on with (`resume`).
    """
    return carry_out(request, bench, *begin(request, bench))


def carry_out(request: TrainRequest, bench: Bench, config: Config, journal: Journal) -> RunRecord:
    """The same for a run that has been begun."""
    try:
        make_deterministic(config)
        _walk(request, bench, config, journal)
    except Exception as error:  # whatever went wrong, the record says so before it is raised
        for sentence in journal.fail(error):
            bench.progress.step(sentence)
        raise
    finally:
        bench.progress.close()
        journal.close()
    return journal.record


def begin(request: TrainRequest, bench: Bench) -> tuple[Config, Journal]:
    """The run's folder and record: new ones, or those of the run to go on with. Nothing is trained yet."""
    if request.label is not None:
        check_label(request.label)
    if request.resume is not None:
        return _begin_again(request.resume, request, bench)
    plugin = bench.plugin
    name, variant = variant_of(plugin, request.variant)
    config = resolve_config(plugin, name, request.overrides)
    model = model_name(request.model, plugin)
    now = datetime.now(UTC)
    folder = create_run(bench.runs, plugin.name, name, now)
    record = RunRecord(
        id=folder.id,
        plugin=plugin.name,
        variant=name,
        title=plugin.title,
        task=plugin.task,
        model=model,
        config=config.model_dump(mode="json"),
        seed=config.seed,
        overrides=request.overrides,
        created=now,
        metric=metric_record(plugin.metric),
        book=variant.book,
        environment=environment(),
    )
    folder.write_config(record.config)
    bench.progress.step(f"run {folder.id}: {plugin.title} ({name})")
    return config, Journal(folder, record)


def model_name(asked: str | None, plugin: Plugin[Any]) -> str:
    """What the model is published as: the plugin's name unless another was asked for. Raises InvalidArgument."""
    return check_model_name(plugin.name if asked is None else asked)


def _begin_again(run: str, request: TrainRequest, bench: Bench) -> tuple[Config, Journal]:
    if bench.crew is not None:
        raise FailedPrecondition(
            f"A run goes on in one process, with as many devices. Received: resume {run} in several"
        )
    folder = open_run(bench.runs, run)
    record = read_record(folder.path)
    if record.state is RunState.PUBLISHED:
        raise FailedPrecondition(f"A run that was published is done. Received: resume {run}")
    if record.plugin != bench.plugin.name or request.overrides or request.variant not in (None, record.variant):
        raise FailedPrecondition(
            f"A run goes on with its own plugin, variant and settings ({record.plugin}, {record.variant}). "
            f"Received: {bench.plugin.name}, {request.variant}, {', '.join(request.overrides) or 'no settings'}"
        )
    if request.model not in (None, record.model):
        raise FailedPrecondition(f"A run is published as {record.model}, as it was asked. Received: {request.model}")
    bench.progress.step(f"run {run}: going on")
    journal = Journal(folder, record.model_copy(update={"state": RunState.RUNNING, "error": ""}))
    return validate_config(bench.plugin, record.config), journal


def _walk(request: TrainRequest, bench: Bench, config: Config, journal: Journal) -> None:
    plugin, progress = bench.plugin, bench.progress
    progress.step("loading data")
    with journal.timed("load_data"):
        data = load(plugin, config, bench.datasets)
    journal.note(samples={"train": len(data.train), "test": len(data.test)}, data_sha256=dict(bench.datasets.fetched))
    for sentence in gaps(data):
        progress.step(sentence)
    recipe = _recipe(bench, config, journal)
    with journal.timed("rehearse"):
        rehearse(recipe, data)
    journal.note(baseline=baseline_of(plugin, data))
    with journal.timed("fit") as note:
        each_epoch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: note())
        model, folds, final = fit_all(replace(recipe, watchers=(each_epoch,)), data.train)
    journal.note(folds=folds, final=final, parameters=model.count_params())
    if not bench.leads:
        progress.step("trained; the first worker does the rest")
        return
    with journal.timed("evaluate"):
        journal.note(metrics=figures_on(Part("test", data.test), model, recipe))
        run = finished(plugin, model, data)
        journal.note(interval=_interval(journal.record, run), expected=run.expected)
    progress.step(f"test {figures_text(journal.record.metrics)} baseline {figures_text(journal.record.baseline)}")
    _pass_gate(request, bench, journal, model)
    progress.step(f"report {journal.folder.path / 'report.html'}")
    with journal.timed("report"):
        write_report(journal.folder.path, report_of(plugin, journal.record, run))
    shutil.rmtree(journal.folder.features, ignore_errors=True)  # they may be large


def _recipe(bench: Bench, config: Config, journal: Journal) -> Recipe:
    record = journal.record
    return Recipe(
        bench.plugin,
        record.variant,
        config,
        record.metric,
        journal.folder,
        bench.progress,
        engine=bench.engine,
        crew=bench.crew,
    )


def _interval(record: RunRecord, run: Finished) -> Interval | None:
    """The headline figure's; none where the samples' own scores do not add up to that figure."""
    name = record.metric.name
    head = next((head for head in run.heads if head.figure == name), None)
    return None if head is None else figure_interval(head, record.metrics[name])


def fit_all(recipe: Recipe, train: Samples) -> tuple[Any, tuple[StageRecord, ...], StageRecord]:
    """Train as the plugin's protocol says: the model to publish, the validated ones' records, the published one's."""
    protocol = recipe.protocol
    if isinstance(protocol, Untrained):
        model = fresh_model(replace(recipe, crew=None), recipe.config.seed, train)
        return model, (), StageRecord(name=FINAL, best_epoch=0, history={})
    if isinstance(protocol, AllData):
        model, (final,) = _fit_plans(recipe, train, [Plan(FINAL, 0, recipe.config.epochs, 0, published=True)])
        return model, (), final
    model, folds = fit_folds(recipe, train)
    if not trains_again(protocol):
        return model, folds, folds[0]
    best = best_epoch(recipe.metric, [fold.history for fold in folds])
    recipe.progress.step(f"training on all {len(train)} samples for {best} epochs, which validated best")
    model, (final,) = _fit_plans(recipe, train, [Plan(FINAL, len(folds), best, 0, published=True)])
    return model, folds, final


def fit_folds(recipe: Recipe, train: Samples) -> tuple[Any, tuple[StageRecord, ...]]:
    """Train the models that are validated: the last of them, and all their records."""
    return _fit_plans(recipe, train, plan_folds(recipe, len(train)))


def plan_folds(recipe: Recipe, rows: int) -> list[Plan]:
    """The models that are validated, of so many rows to train on."""
    protocol, epochs = recipe.protocol, recipe.config.epochs
    parts, again = cuts(protocol, rows, recipe.config.rows_seed), trains_again(protocol)
    after = [(len(parts) - number - 1 + again) * epochs for number in range(len(parts))]
    return [Plan(cut.name, number, epochs, after[number], not again, cut) for number, cut in enumerate(parts)]


def _fit_plans(recipe: Recipe, train: Samples, plans: Sequence[Plan]) -> tuple[Any, tuple[StageRecord, ...]]:
    faults = recipe.engine([Planned(recipe, plan) for plan in plans])
    if recipe.folder in faults:
        raise faults[recipe.folder]
    records = []
    for plan in plans:
        model, record = fit(recipe, plan.stage(train))
        records.append(record)
    return model, tuple(records)


def _can_be_told(record: RunRecord) -> bool:
    """A card is JSON, which has no NaN: a run that diverged cannot be published, even by force."""
    return all(map(math.isfinite, record.metrics.values()))


def _pass_gate(request: TrainRequest, bench: Bench, journal: Journal, model: Any) -> None:
    """Publish the model, or say why not."""
    if not request.publish:
        journal.note(state=RunState.TRAINED)
        return
    record = journal.record
    candidate = Candidate(record.metrics, record.baseline, record.data_sha256)
    standing = _standing(bench.store, record.model)
    verdict = judge(record.metric, candidate, standing)
    journal.note(gate=verdict)
    bench.progress.step(f"gate {'passed' if verdict.passed else 'refused'}: {'; '.join(verdict.reasons)}")
    if request.force and not _can_be_told(record):
        bench.progress.step("not forced: figures that are no numbers cannot be published")
    if verdict.passed or (request.force and _can_be_told(record)):
        if not verdict.passed:
            journal.note(forced=True)
            bench.progress.step("published all the same: forced")
        publish(_label(request, standing), bench, journal, model)
    else:
        journal.note(state=RunState.REJECTED)


def _label(request: TrainRequest, standing: Standing | None) -> Label | None:
    """`stable` moves only from the version that the gate has judged against, unless that was overruled."""
    if request.label is None:
        return None
    if request.label != STABLE or request.force:
        return Label(request.label)
    return Label(STABLE, judged_against=None if standing is None else standing.version)


def _standing(store: Store, model: str) -> Standing | None:
    number = store.labels(model).get(STABLE)
    return None if number is None else Standing(number, store.card(model, number))
