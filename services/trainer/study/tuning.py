"""Tuning: many short trials of a variant's hyper-parameters, then one run with the best of them (book 7.3.2).

Trials are judged on validation data alone; the test split is touched once, by the run that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from plugins.contract import AllData, Plugin, Range, Search, Untrained
from services.core.errors import FailedPrecondition, InvalidArgument, received
from services.trainer.configuration import resolve_config, variant_of
from services.trainer.data import load
from services.trainer.engines import ENGINES, LOCAL, needs_ray
from services.trainer.fit.precision import make_deterministic
from services.trainer.fit.recipe import Assignment, Recipe
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, bench_of, train
from services.trainer.rehearsal import rehearse
from services.trainer.report.study_report import StudyReport, write_study_report
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import RunRecord, metric_record
from services.trainer.settings import TrainerSettings
from services.trainer.study.trial import Draw, Engine, hopeless_in, run_trial, try_again

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
    engine: str = LOCAL
    parallel: int | None = None  # trials at once on Ray; as many as it has room for


def tune_and_publish(request: TuneRequest, settings: TrainerSettings) -> RunRecord:
    """Tune an installed plugin with this machine's store, datasets and terminal. Raises TensorgateError."""
    bench = bench_of(request.plugin, settings)
    return tune(request, bench, settings.home / "studies", settings.datasets)


def tune(request: TuneRequest, bench: Bench, studies: Path, mirror: str = "") -> RunRecord:
    """Run the trials that are still missing, write the study's page, and train and publish with the best settings.

    `mirror` is where trials elsewhere than in this process look for datasets. Raises InvalidArgument for a plugin that
    says nothing of what to search, or an unknown sampler or engine.
    """
    variant, space = _checked(request, bench.plugin)
    folder = studies / request.study
    engine = _engine(request, bench, folder, mirror)
    _check_space(request, bench.plugin)
    _rehearse(request, bench, variant, RunFolder(folder))
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(request, bench.plugin, folder)
    while (left := _left(request, study)) > 0:
        bench.progress.step(f"study {request.study}: {left} trials to go")
        engine(study, _draw(request, bench, variant), left)
    best = _best(study, request)
    bench.progress.step(f"best of {len(study.trials)} trials: {best.value:.4g} with {_settings(best)}")
    overrides = (*request.overrides, *_settings(best))
    record = train(TrainRequest(request.plugin, variant, overrides), bench)
    page = write_study_report(folder, StudyReport(request.study, study, space, record))
    bench.progress.step(f"report {page}")
    return record


def _checked(request: TuneRequest, plugin: Plugin[Any]) -> tuple[str, Mapping[str, Search]]:
    variant, chosen = variant_of(plugin, request.variant)
    if not plugin.search or isinstance(chosen.protocol or plugin.protocol, AllData | Untrained):
        raise InvalidArgument(f"A plugin that is tuned says what to search. Received: {plugin.name}/{variant}")
    if request.sampler not in SAMPLERS or request.trials < 1:
        raise InvalidArgument(
            f"A study has a sampler of {', '.join(SAMPLERS)} and one trial or more. "
            f"Received: {request.sampler!r}, {request.trials}"
        )
    if request.engine not in ENGINES:
        raise InvalidArgument(f"A study runs on one of: {', '.join(ENGINES)}. Received: {request.engine!r}")
    if request.parallel is not None and (request.engine == LOCAL or request.parallel < 1):
        raise InvalidArgument(
            "Trials in parallel, one or more, run on the engine ray; locally they take turns. "
            f"Received: {request.engine}, {request.parallel}"
        )
    return variant, plugin.search


def _check_space(request: TuneRequest, plugin: Plugin[Any]) -> None:
    """All that a trial may draw is a valid setting, if the ends and choices are. Raises InvalidArgument."""
    for name, search in plugin.search.items():
        if not isinstance(search, Search):
            raise InvalidArgument(f"What is searched is a Range or a Choice. Received: {name}: {received(search)}")
        for value in (search.low, search.high) if isinstance(search, Range) else search.options:
            resolve_config(plugin, request.variant, (*request.overrides, f"{name}={value}"))


def _rehearse(request: TuneRequest, bench: Bench, variant: str, folder: RunFolder) -> None:
    plugin, config = bench.plugin, resolve_config(bench.plugin, variant, request.overrides)
    make_deterministic(config)
    recipe = Recipe(plugin, variant, config, metric_record(plugin.metric), folder, bench.progress)
    rehearse(recipe, load(plugin, config, bench.datasets))


def _engine(request: TuneRequest, bench: Bench, folder: Path, mirror: str) -> Engine:
    if request.engine == LOCAL:
        return Here(bench, folder)
    with needs_ray():
        from services.trainer.study.ray_engine import RayEngine
    return RayEngine(mirror, request.parallel, bench.progress.step)


def open_study(request: TuneRequest, plugin: Plugin[Any], folder: Path) -> optuna.Study:
    """The study in the folder, new or gone on with; a trial that a kill cut short is to be tried again."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
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
        try_again(study, trial)
    return study


def _left(request: TuneRequest, study: optuna.Study) -> int:
    """As many as were asked for; and whatever is to be tried again, lest the last of them be lost."""
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return max(request.trials - len(ended), len(study.get_trials(states=(TrialState.WAITING,))))


def _best(study: optuna.Study, request: TuneRequest) -> FrozenTrial:
    if not study.get_trials(states=(TrialState.COMPLETE,)):
        raise FailedPrecondition(f"A study has a trial that came to its end. Received: none in {request.study}")
    return study.best_trial


def _settings(trial: FrozenTrial) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in trial.params.items())


@dataclass(frozen=True)
class Here:
    """Runs trials one after another in this process; each leaves a folder in the study's."""

    bench: Bench
    folder: Path

    def __call__(self, study: optuna.Study, draw: Draw, count: int) -> None:
        """Raises what a trial raises."""
        study.optimize(lambda trial: self._run(trial, draw(trial)), n_trials=count)

    def _run(self, trial: Trial, assignment: Assignment) -> float:
        folder = self.folder / f"trial-{trial.number}"
        folder.mkdir(exist_ok=True)
        return run_trial(assignment, self.bench.datasets, folder, self.bench.progress, hopeless_in(trial))


def _draw(request: TuneRequest, bench: Bench, variant: str) -> Draw:
    def draw(trial: Trial) -> Assignment:
        plugin = bench.plugin
        drawn = [f"{name}={_drawn(trial, name, search)}" for name, search in plugin.search.items()]
        bench.progress.step(f"study {request.study} trial {trial.number}: {' '.join(drawn)}")
        return Assignment(plugin, variant, resolve_config(plugin, variant, (*request.overrides, *drawn)))

    return draw


def _drawn(trial: Trial, name: str, search: Search) -> Any:
    if not isinstance(search, Range):
        return trial.suggest_categorical(name, search.options)
    if isinstance(search.low, int) and isinstance(search.high, int):
        return trial.suggest_int(name, search.low, search.high, log=search.log)
    return trial.suggest_float(name, search.low, search.high, log=search.log)
