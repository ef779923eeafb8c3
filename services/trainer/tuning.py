"""Tuning: many short trials of a variant's hyper-parameters, then one run with the best of them (book 7.3.2).

Trials are judged on validation data alone; the test split is touched once, by the run that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from plugins.contract import Config, Plugin, Range, Search, Untrained
from services.core.errors import FailedPrecondition, InvalidArgument
from services.trainer.configuration import resolve_config, variant_of
from services.trainer.fitting import Recipe, Stage, fit, make_deterministic
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, bench_of, fewer, train
from services.trainer.protocols import cuts
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import MetricRecord, RunRecord, metric_record
from services.trainer.settings import TrainerSettings
from services.trainer.study_report import StudyReport, write_study_report

SAMPLERS = ("tpe", "random")
_JOURNAL = "journal.log"
_UNPRUNED_TRIALS, _UNPRUNED_EPOCHS = 4, 1


@dataclass(frozen=True)
class TuneRequest:
    """What a person asks for; `study` names the folder, so that a killed one goes on under its name."""

    plugin: str
    study: str
    variant: str | None = None
    overrides: tuple[str, ...] = ()
    trials: int = 20
    sampler: str = "tpe"


def tune_and_publish(request: TuneRequest, settings: TrainerSettings) -> RunRecord:
    """Tune an installed plugin with this machine's store, datasets and terminal. Raises TensorgateError."""
    return tune(request, bench_of(request.plugin, settings), settings.home / "studies")


def tune(request: TuneRequest, bench: Bench, studies: Path) -> RunRecord:
    """Run the trials that are still missing, write the study's page, and train and publish with the best settings.

    Raises InvalidArgument for a plugin that says nothing of what to search, or an unknown sampler.
    """
    variant, space = _checked(request, bench.plugin)
    folder = studies / request.study
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(request, bench.plugin, folder)
    objective = Objective(request, bench, variant, folder)
    while (left := request.trials - len(_finished(study))) > 0:
        bench.progress.step(f"study {request.study}: {left} trials to go")
        study.optimize(objective, n_trials=1)
    best = _best(study, request)
    bench.progress.step(f"best of {len(study.trials)} trials: {best.value:.4g} with {_settings(best)}")
    overrides = (*request.overrides, *_settings(best))
    record = train(TrainRequest(request.plugin, variant, overrides), bench)
    page = write_study_report(folder, StudyReport(request.study, study, space, record))
    bench.progress.step(f"report {page}")
    return record


def _checked(request: TuneRequest, plugin: Plugin[Any]) -> tuple[str, Mapping[str, Search]]:
    variant, chosen = variant_of(plugin, request.variant)
    if not plugin.search or isinstance(chosen.protocol or plugin.protocol, Untrained):
        raise InvalidArgument(f"A plugin that is tuned says what to search. Received: {plugin.name}/{variant}")
    if request.sampler not in SAMPLERS or request.trials < 1:
        raise InvalidArgument(
            f"A study has a sampler of {', '.join(SAMPLERS)} and one trial or more. "
            f"Received: {request.sampler!r}, {request.trials}"
        )
    return variant, plugin.search


def open_study(request: TuneRequest, plugin: Plugin[Any], folder: Path) -> optuna.Study:
    """The study in the folder, new or gone on with; a trial that a kill cut short is to be tried again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / _JOURNAL)))
    study = optuna.create_study(
        storage=storage,
        study_name=f"{plugin.name}/{request.variant or ''} {' '.join(request.overrides)}",
        direction="maximize" if plugin.metric.higher_is_better else "minimize",
        pruner=optuna.pruners.MedianPruner(_UNPRUNED_TRIALS, _UNPRUNED_EPOCHS),
        load_if_exists=True,
    )
    seed = resolve_config(plugin, request.variant, request.overrides).seed + len(study.trials)
    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    study.sampler = samplers[request.sampler](seed=seed)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))


def _best(study: optuna.Study, request: TuneRequest) -> FrozenTrial:
    if not study.get_trials(states=(TrialState.COMPLETE,)):
        raise FailedPrecondition(f"A study has a trial that came to its end. Received: none in {request.study}")
    return study.best_trial


def _settings(trial: FrozenTrial) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in trial.params.items())


@dataclass(frozen=True)
class Objective:
    """One trial: draw settings, train on the protocol's first cut, answer the best validation figure."""

    request: TuneRequest
    bench: Bench
    variant: str
    folder: Path

    def __call__(self, trial: Trial) -> float:
        """Raises optuna.TrialPruned when the trial is hopeless."""
        plugin, metric = self.bench.plugin, metric_record(self.bench.plugin.metric)
        config = self._config(trial, plugin)
        make_deterministic(config.seed)
        folder = RunFolder(self.folder / f"trial-{trial.number}")
        folder.path.mkdir(exist_ok=True)
        watch = Pruning(trial, metric)
        recipe = Recipe(plugin, self.variant, config, metric, folder, self.bench.progress, (watch,))
        data = fewer(plugin.load_data(config, self.bench.datasets), config).train
        cut = cuts(recipe.protocol, len(data), config.seed)[0]
        stage = Stage("trial", 0, config.epochs, 0, False, data.take(cut.train), data.take(cut.validation))
        _, record = fit(recipe, stage)
        values = record.history[f"val_{metric.name}"]
        return max(values) if metric.higher_is_better else min(values)

    def _config(self, trial: Trial, plugin: Plugin[Any]) -> Config:
        drawn = (f"{name}={_drawn(trial, name, search)}" for name, search in plugin.search.items())
        return resolve_config(plugin, self.variant, (*self.request.overrides, *drawn))


def _drawn(trial: Trial, name: str, search: Search) -> Any:
    if not isinstance(search, Range):
        return trial.suggest_categorical(name, search.options)
    if isinstance(search.low, int) and isinstance(search.high, int):
        return trial.suggest_int(name, search.low, search.high, log=search.log)
    return trial.suggest_float(name, search.low, search.high, log=search.log)


class Pruning(keras.callbacks.Callback):
    """Tells the study each epoch's validation figure, and ends a trial that is worse than half of those before it."""

    def __init__(self, trial: Trial, metric: MetricRecord) -> None:
        super().__init__()
        self._trial, self._figure = trial, f"val_{metric.name}"

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Raises optuna.TrialPruned."""
        self._trial.report(float((logs or {})[self._figure]), epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned
