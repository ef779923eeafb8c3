"""One trial of a study, wherever it is run: what to train, how it is judged, and what becomes of one cut short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from plugins.contract import Datasets
from services.trainer.data import load
from services.trainer.fit.fitting import fit
from services.trainer.fit.precision import make_deterministic
from services.trainer.fit.protocols import cuts
from services.trainer.fit.recipe import Assignment, Recipe, Stage
from services.trainer.progress import RunProgress
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import MetricRecord, metric_record

_TRIES, _MOST_TRIES = "tries", 3


Draw = Callable[[Trial], Assignment]  # settings for a trial that the study has begun
Engine = Callable[[optuna.Study, Draw, int], None]  # runs so many trials, and tells the study what came of each
Hopeless = Callable[[int, float], bool]  # told an epoch's validation figure: is it no use to go on?


def hopeless_in(trial: Trial) -> Hopeless:
    """The study's own opinion: is the trial worse than half of those before it?"""

    def hopeless(epoch: int, figure: float) -> bool:
        trial.report(figure, epoch)
        return trial.should_prune()

    return hopeless


def run_trial(
    assignment: Assignment, datasets: Datasets, folder: Path, progress: RunProgress, hopeless: Hopeless
) -> float:
    """Train on the protocol's first cut; returns the best validation figure. Raises optuna.TrialPruned."""
    plugin, config, metric = assignment.plugin, assignment.config, metric_record(assignment.plugin.metric)
    make_deterministic(config)
    watch = Pruning(hopeless, metric)
    recipe = Recipe(plugin, assignment.variant, config, metric, RunFolder(folder), progress, (watch,))
    data = load(plugin, config, datasets).train
    cut = cuts(recipe.protocol, len(data), config.rows_seed)[0]
    stage = Stage("trial", 0, config.epochs, 0, False, data.take(cut.train), data.take(cut.validation))
    _, record = fit(recipe, stage)
    values = record.history[f"val_{metric.name}"]
    return max(values) if metric.higher_is_better else min(values)


class Pruning(keras.callbacks.Callback):
    """Tells each epoch's validation figure, and ends a trial that is hopeless."""

    def __init__(self, hopeless: Hopeless, metric: MetricRecord) -> None:
        super().__init__()
        self._hopeless, self._figure = hopeless, f"val_{metric.name}"

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Raises optuna.TrialPruned."""
        if self._hopeless(epoch, float((logs or {})[self._figure])):
            raise optuna.TrialPruned


def try_again(study: optuna.Study, trial: Trial | FrozenTrial) -> None:
    """Fail a trial whose process died, and queue its settings; not for ever, as they may be what it died of."""
    study.tell(trial.number, state=TrialState.FAIL)
    tries = trial.user_attrs.get(_TRIES, 1)
    if tries < _MOST_TRIES:
        study.enqueue_trial(trial.params, user_attrs={_TRIES: tries + 1})
