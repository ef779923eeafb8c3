"""Training one model: its batches, its callbacks, its checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tensorflow.python.framework.ops import gradient_registry

from plugins.contract import EVALUATION_BATCH, Config, Samples, Untrained
from services.core.errors import InvalidArgument
from services.trainer.data import Part
from services.trainer.faults import told
from services.trainer.fit.activations import ActivationLog
from services.trainer.fit.balance import class_weights
from services.trainer.fit.batches import (
    Share,
    batches,
    evaluation_steps,
    shared_batches,
    shared_evaluation,
    steps_at_once,
    steps_of,
    weighed,
)
from services.trainer.fit.checkpoint import Checkpoint, state_file
from services.trainer.fit.crew import Crew, Lesson, check_crew, crew_here, losses_told, teach
from services.trainer.fit.figures import figures_on, meeting
from services.trainer.fit.frozen import features
from services.trainer.fit.log import EpochLog, Lines, trim_lines, trim_rows
from services.trainer.fit.precision import precision
from services.trainer.fit.projector import write_projector
from services.trainer.fit.protocols import best_epoch
from services.trainer.fit.recipe import Recipe, Stage
from services.trainer.fit.snapshots import Snapshots
from services.trainer.run_record import StageRecord

_BUILT = "A plugin's build_model returns a compiled keras.Model"


def fresh_model(recipe: Recipe, seed: int, train: Samples) -> Any:
    """The variant's model as it is before it is trained; the same for the same seed."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    with recipe.scope:
        with precision(recipe.config), told(recipe.plugin, f"{_BUILT} for variant {recipe.variant}"):
            model = recipe.plugin.build_model(recipe.config, recipe.variant, train)
        if not isinstance(model, keras.Model):
            raise InvalidArgument(f"{_BUILT}. Received: {type(model).__name__}")
        if getattr(model, "optimizer", None) is None and not isinstance(recipe.protocol, Untrained):
            raise InvalidArgument(f"{_BUILT}. Received: a {type(model).__name__}, not compiled")
        if not model.built:
            with meeting(Part("train", train), model, recipe):
                model(next(iter(train.take(np.arange(1)).in_order(1)))[0])
    return model


def fit(recipe: Recipe, stage: Stage) -> tuple[Any, StageRecord]:
    """Build a model and train it, or go on from its checkpoint; returns it with the record of its training.

    Same seed, same result, however often it was killed in between: a model's random numbers come from its own seed, and
    the order of the samples from that seed and the epoch. What several devices have trained ends up on one.
    """
    if recipe.crew is None and recipe.config.devices > 1:
        recipe = replace(recipe, crew=crew_here(recipe.config.devices))
    if recipe.crew is not None:
        with losses_told(recipe.crew):
            _fit_together(recipe.crew, recipe, stage)
        recipe = replace(recipe, crew=None)
    whole, model, left = _built(recipe, stage)
    model.jit_compile = recipe.config.jit_compile
    model.steps_per_execution = steps_at_once(steps_of(left.train, recipe.config))
    file = state_file(recipe.folder, stage.name)
    if file.read().is_end(stage.epochs):
        file.restore(model)
    else:
        _train(model, recipe, left, _callbacks(recipe, left))
    progressed = file.read()
    if _keeps_best(recipe, stage):
        model.load_weights(_best(recipe, stage))
    if stage.published:
        write_projector(_board(recipe, stage) / "train", whole, recipe.plugin.row_words(whole))
    return _in_32_bits(recipe, stage, whole), _record(recipe, left, model, progressed.history)


def _fit_together(crew: Crew, recipe: Recipe, stage: Stage) -> None:
    """Train the model on several devices, if it is not trained yet; what it became is in its checkpoint."""
    progressed = state_file(recipe.folder, stage.name).read()
    if progressed.is_end(stage.epochs):
        return
    _, model, left = _built(recipe, stage)
    with recipe.scope:
        check_crew(model, recipe.config, crew)
        lesson = _lesson(crew.share, recipe, left, range(len(progressed.epochs), stage.epochs))
        callbacks = _callbacks(recipe, left)
        with _graphs_forgotten(), _as_callbacks_need_it(callbacks):
            teach(crew, model, lesson, callbacks)


def _lesson(share: Share, recipe: Recipe, stage: Stage, epochs: range) -> Lesson:
    judged = stage.validation
    return Lesson(
        batches=_weighed(shared_batches(*_order(recipe, stage, epochs), share), recipe, stage),
        steps=steps_of(stage.train, recipe.config),
        validation=judged and shared_evaluation(judged, recipe.config, share),
        validation_steps=evaluation_steps(judged) if judged else 0,
        epochs=epochs,
    )


def _built(recipe: Recipe, stage: Stage) -> tuple[Any, Any, Stage]:
    """The whole model, what of it is left to train, and what that is trained on."""
    whole = _fresh(recipe, stage)
    model, left = _without_frozen_part(recipe, stage, whole)
    with recipe.scope:
        model.optimizer.build(model.trainable_variables)  # now, so that a checkpoint has somewhere to go
    return whole, model, left


def _fresh(recipe: Recipe, stage: Stage) -> Any:
    return fresh_model(recipe, recipe.config.seed + stage.number, stage.train)


def _in_32_bits(recipe: Recipe, stage: Stage, model: Any) -> Any:
    """The same model, if it computes in 16 bits, built anew: what is evaluated and published computes in 32."""
    if not recipe.config.mixed_precision:
        return model
    full = _fresh(replace(recipe, config=recipe.config.model_copy(update={"mixed_precision": False})), stage)
    full.set_weights(model.get_weights())
    return full


def _without_frozen_part(recipe: Recipe, stage: Stage, model: Any) -> tuple[Any, Stage]:
    """What is left to train, and the samples as they come out of the frozen part; the layers stay the model's own."""
    plugin = recipe.plugin
    with (
        recipe.scope,
        told(plugin, f"frozen of plugin {plugin.name} returns a part of the model, from its input on, or None"),
    ):
        frozen = plugin.frozen(model)
        if frozen is None:
            return model, stage
        rest = keras.Model(frozen.output, model.output)
        rest.compile_from_config(model.get_compile_config())

    def run(samples: Samples, part: str) -> Samples:
        recipe.progress.step(f"running the frozen part of the model once over {len(samples)} samples")
        folder = recipe.folder.features / stage.name.replace(" ", "-") / part
        return replace(samples, inputs=features(frozen, samples, folder), read=None)

    validation = run(stage.validation, "validation") if stage.validation is not None else None
    trained = state_file(recipe.folder, stage.name).read().is_end(stage.epochs)
    train = stage.train if trained else run(stage.train, "train")
    return rest, replace(stage, train=train, validation=validation)


def _train(model: Any, recipe: Recipe, stage: Stage, callbacks: list[Any]) -> None:
    done = len(callbacks[-1].progressed.epochs)
    with (
        _graphs_forgotten(),
        _as_callbacks_need_it(callbacks),
        meeting(Part("train", stage.train), model, recipe),
    ):
        model.fit(
            _weighed(batches(*_order(recipe, stage, range(done, stage.epochs))), recipe, stage),
            steps_per_epoch=steps_of(stage.train, recipe.config),
            validation_data=stage.validation and stage.validation.in_order(EVALUATION_BATCH),
            initial_epoch=done,
            epochs=stage.epochs,
            shuffle=False,  # done in `batches`
            verbose=0,
            callbacks=callbacks,
        )


def _order(recipe: Recipe, stage: Stage, epochs: range) -> tuple[Samples, Config, int, range]:
    """What `batches` asks for."""
    return stage.train, recipe.config, recipe.config.seed + stage.number, epochs


def _weighed(batches: Any, recipe: Recipe, stage: Stage) -> Any:
    """The batches, with what each sample counts if classes shall be balanced."""
    if not recipe.config.balance_classes:
        return batches
    return weighed(batches, class_weights(recipe.plugin.task, stage.train.targets))


@contextmanager
def _graphs_forgotten() -> Iterator[None]:
    """TensorFlow keeps for ever what gradient is no operation's own, and Keras's optimizers have one a graph. With it
    stay the graph, the weights, and what the optimizer had noted of them, of every model that was trained.
    """
    gradients: dict[str, Any] = gradient_registry._registry
    before = set(gradients)
    try:
        yield
    finally:
        for name in gradients.keys() - before:
            del gradients[name]


@contextmanager
def _as_callbacks_need_it(callbacks: list[Any]) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Model failed to serialize")  # its graph is missing in TensorBoard
            yield
    finally:  # Keras leaves the CSV file open when a fit fails
        for callback in callbacks:
            if getattr(callback, "csv_file", None) is not None:
                callback.csv_file.close()


def _callbacks(recipe: Recipe, stage: Stage) -> list[Any]:
    """All of them; the checkpoint is the last."""
    followers = _followers(recipe, stage)
    checkpoint = Checkpoint(state_file(recipe.folder, stage.name), followers)
    return [*followers, *_keepers(recipe, stage, checkpoint), *recipe.watchers, checkpoint]


def _followers(recipe: Recipe, stage: Stage) -> list[Any]:
    """The callbacks that watch the validation figure, those the config asks for."""
    config = recipe.config
    if stage.validation is None:
        return []
    watch = {"monitor": f"val_{recipe.metric.name}", "mode": "max" if recipe.metric.higher_is_better else "min"}
    chosen: list[Any] = []
    if config.early_stopping_patience is not None:
        chosen.append(keras.callbacks.EarlyStopping(patience=config.early_stopping_patience, **watch))
    if config.reduce_lr_patience is not None:
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                patience=config.reduce_lr_patience, factor=config.reduce_lr_factor, **watch
            )
        )
    return chosen


def _keepers(recipe: Recipe, stage: Stage, checkpoint: Checkpoint) -> list[Any]:
    """The callbacks that write: logs for people, the best weights."""
    done = len(checkpoint.progressed.epochs)
    trim_lines(recipe.folder.metrics, stage.name, done)
    lines = Lines(stage.name, stage.epochs, steps_of(stage.train, recipe.config), stage.epochs_after)
    judged = recipe.metric if stage.validation is not None else None
    keepers: list[Any] = [EpochLog(lines, judged, recipe.folder.metrics, recipe.progress)]
    keepers.append(Snapshots(recipe.plugin.snapshot, recipe.folder.snapshots(stage.name), _board(recipe, stage)))
    histograms = int(recipe.config.log_histograms)  # every so many epochs; 0: never
    keepers.append(keras.callbacks.TensorBoard(str(_board(recipe, stage)), histogram_freq=histograms))
    if recipe.config.log_activations and stage.validation is not None:
        keepers.append(ActivationLog(stage.validation, recipe.folder.activations(stage.name)))
    if stage.published:
        trim_rows(recipe.folder.history, done)
        keepers.append(keras.callbacks.CSVLogger(str(recipe.folder.history), append=done > 0))
    if _keeps_best(recipe, stage):
        values = checkpoint.progressed.history.get(f"val_{recipe.metric.name}", ())
        pick = max if recipe.metric.higher_is_better else min
        keepers.append(
            keras.callbacks.ModelCheckpoint(
                str(_best(recipe, stage)),
                monitor=f"val_{recipe.metric.name}",
                mode="max" if recipe.metric.higher_is_better else "min",
                save_best_only=True,
                save_weights_only=True,
                initial_value_threshold=pick(values, default=None),
            )
        )
    return keepers


def _keeps_best(recipe: Recipe, stage: Stage) -> bool:
    return recipe.config.keep_best and stage.published and stage.validation is not None


def _board(recipe: Recipe, stage: Stage) -> Path:
    return recipe.folder.tensorboard / stage.name.replace(" ", "-")


def _best(recipe: Recipe, stage: Stage) -> Path:
    return recipe.folder.checkpoints(stage.name) / "best.weights.h5"


def _record(recipe: Recipe, stage: Stage, model: Any, history: Any) -> StageRecord:
    if stage.validation is None:
        return StageRecord(name=stage.name, best_epoch=len(next(iter(history.values()))), history=history)
    return StageRecord(
        name=stage.name,
        metrics=figures_on(Part("validation", stage.validation), model, recipe),
        best_epoch=best_epoch(recipe.metric, [history]),
        history=history,
    )
