"""Training one model: its batches, its callbacks, its checkpoint."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from plugins.contract import EVALUATION_BATCH, Config, Samples
from services.trainer.fit.activations import ActivationLog
from services.trainer.fit.balance import class_weights
from services.trainer.fit.checkpoint import Checkpoint, state_file
from services.trainer.fit.frozen import features
from services.trainer.fit.log import EpochLog, Lines, trim_lines, trim_rows
from services.trainer.fit.precision import precision
from services.trainer.fit.projector import write_projector
from services.trainer.fit.protocols import best_epoch
from services.trainer.fit.recipe import Recipe, Stage
from services.trainer.fit.snapshots import Snapshots
from services.trainer.run_record import StageRecord

_MOST_STEPS_AT_ONCE = 32


def fresh_model(recipe: Recipe, seed: int, train: Samples) -> Any:
    """The variant's model as it is before it is trained; the same for the same seed."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    with precision(recipe.config):
        model = recipe.plugin.build_model(recipe.config, recipe.variant, train)
    if not model.built:
        model(next(iter(train.take(np.arange(1)).in_order(1)))[0])
    return model


def fit(recipe: Recipe, stage: Stage) -> tuple[Any, StageRecord]:
    """Build a model and train it, or go on from its checkpoint; returns it with the record of its training.

    Same seed, same result, however often it was killed in between: a model's random numbers come from its own seed, and
    the order of the samples from that seed and the epoch.
    """
    whole = _fresh(recipe, stage)
    model, left = _without_frozen_part(recipe, stage, whole)
    model.jit_compile = recipe.config.jit_compile
    model.steps_per_execution = steps_at_once(steps_of(left.train, recipe.config))
    model.optimizer.build(model.trainable_variables)  # now, so that a checkpoint has somewhere to go
    file = state_file(recipe.folder, stage.name)
    progressed = file.read()
    if progressed.is_end(stage.epochs):
        file.restore(model)
    else:
        followers = _followers(recipe, left)
        checkpoint = Checkpoint(file, followers)
        _train(model, recipe, left, [*followers, *_keepers(recipe, left, checkpoint), *recipe.watchers, checkpoint])
        progressed = checkpoint.progressed
    if _keeps_best(recipe, stage):
        model.load_weights(_best(recipe, stage))
    if stage.published:
        write_projector(_board(recipe, stage) / "train", whole, recipe.plugin.row_words(whole))
    return _in_32_bits(recipe, stage, whole), _record(recipe, left, model, progressed.history)


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
    frozen = recipe.plugin.frozen(model)
    if frozen is None:
        return model, stage

    def run(samples: Samples, part: str) -> Samples:
        recipe.progress.step(f"running the frozen part of the model once over {len(samples)} samples")
        folder = recipe.folder.features / stage.name.replace(" ", "-") / part
        return replace(samples, inputs=features(frozen, samples, folder), read=None)

    rest = keras.Model(frozen.output, model.output)
    rest.compile_from_config(model.get_compile_config())
    validation = run(stage.validation, "validation") if stage.validation is not None else None
    trained = state_file(recipe.folder, stage.name).read().is_end(stage.epochs)
    train = stage.train if trained else run(stage.train, "train")
    return rest, replace(stage, train=train, validation=validation)


def _train(model: Any, recipe: Recipe, stage: Stage, callbacks: list[Any]) -> None:
    done = len(callbacks[-1].progressed.epochs)
    balanced = recipe.config.balance_classes
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Model failed to serialize")  # its graph is missing in TensorBoard
            model.fit(
                batches(stage.train, recipe.config, recipe.config.seed + stage.number, range(done, stage.epochs)),
                steps_per_epoch=steps_of(stage.train, recipe.config),
                validation_data=stage.validation and stage.validation.in_order(EVALUATION_BATCH),
                class_weight=class_weights(recipe.plugin.task, stage.train.targets) if balanced else None,
                initial_epoch=done,
                epochs=stage.epochs,
                shuffle=False,  # done in `batches`
                verbose=0,
                callbacks=callbacks,
            )
    finally:  # Keras leaves the CSV file open when a fit fails
        for callback in callbacks:
            if getattr(callback, "csv_file", None) is not None:
                callback.csv_file.close()


def steps_at_once(steps: int) -> int:
    """How many of an epoch's steps are run by one call: Keras spends a millisecond or more of Python on each call.

    A divisor, because a call does not stop where an epoch ends.
    """
    return max(number for number in range(1, _MOST_STEPS_AT_ONCE + 1) if steps % number == 0)


def steps_of(samples: Samples, config: Config) -> int:
    """Batches of an epoch: a pass over the samples, or fewer if the config says so."""
    whole = _steps_of_a_pass(samples, config)
    return min(whole, config.steps_per_epoch or whole)


def _steps_of_a_pass(samples: Samples, config: Config) -> int:
    return -(-len(samples) // config.batch_size)


def batches(samples: Samples, config: Config, seed: int, epochs: range) -> Any:
    """(what the model takes, targets) by the batch, epoch after epoch; each pass is shuffled by (seed, pass) alone.

    A pass is an epoch, or several (`steps_per_epoch`).
    """
    steps, of_a_pass = steps_of(samples, config), _steps_of_a_pass(samples, config)
    first, end = epochs.start * steps, epochs.stop * steps
    columns = tf.nest.map_structure(tf.constant, (samples.inputs, samples.targets))
    read = samples.read or (lambda inputs: inputs)

    def shuffled(number: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(samples)), seed=tf.stack([seed, number]))
        return tf.data.Dataset.from_tensor_slices(order).batch(config.batch_size)

    def take(rows: Any) -> tuple[Any, Any]:
        inputs, targets = tf.nest.map_structure(lambda column: tf.gather(column, rows), columns)
        return read(inputs), targets

    passes = tf.data.Dataset.range(first // of_a_pass, -(-end // of_a_pass), output_type=tf.int32)
    order = passes.flat_map(shuffled).skip(first % of_a_pass).take(end - first)
    return order.map(take, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


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
        metrics=dict(recipe.plugin.evaluate(model, stage.validation, recipe.config)),
        best_epoch=best_epoch(recipe.metric, [history]),
        history=history,
    )
