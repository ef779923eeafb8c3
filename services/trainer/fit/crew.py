"""Devices that train one model together, of this process or of several (`tf.distribute`).

Each has the model's weights and a part of every batch, and all add up their gradients before a step is taken: the same
step as one device takes with the whole batch. The loop is our own, because Keras' `fit`, `evaluate` and
`train_on_batch` fail under MultiWorkerMirroredStrategy (github.com/keras-team/keras/issues/20585), and under
MirroredStrategy where several steps go into one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from plugins.contract import Config
from services.core.errors import FailedPrecondition, InvalidArgument, Unavailable
from services.trainer.fit.batches import Share, steps_at_once

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
_OWN = ("train_step", "compute_loss")


@dataclass(frozen=True)
class Crew:
    """The devices."""

    strategy: Any  # tf.distribute.Strategy
    share: Share  # of this process

    @property
    def leads(self) -> bool:
        """Does this process keep, judge and publish what was trained?"""
        return self.share.number == 0


def crew_of_workers() -> Crew:
    """This process and the others that TF_CONFIG names; to be called before TensorFlow has done anything.

    Waits for the others.
    """
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    resolver = strategy.cluster_resolver
    return Crew(strategy, Share(resolver.task_id, resolver.cluster_spec().num_tasks("worker")))


def crew_here(devices: int) -> Crew:
    """So many GPUs of this process, or processors as TensorFlow has them where there is no GPU.

    Raises FailedPrecondition if there are fewer.
    """
    there = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if devices > len(there):
        raise FailedPrecondition(
            f"A model is trained on as many devices as there are. Received: devices={devices}, and here are "
            f"{', '.join(device.name.removeprefix('/device:') for device in there)}"
        )
    return Crew(_mirrored(tuple(device.name for device in there[:devices])), Share(0, 1))


@cache  # a second strategy of the same devices would give its collective operations the numbers of the first one's
def _mirrored(devices: tuple[str, ...]) -> Any:
    return tf.distribute.MirroredStrategy(devices)


def check_crew(model: Any, config: Config, crew: Crew) -> None:
    """Raises InvalidArgument for what several devices would not train as one does."""
    own = [name for name in _OWN if getattr(type(model), name) is not getattr(keras.Model, name)]
    if own:
        raise InvalidArgument(
            f"A model is trained on several devices by Keras' own {' and '.join(_OWN)}, which know of the others' "
            f"samples. Received: devices={config.devices}, and {type(model).__name__} with its own {', '.join(own)}"
        )
    if config.batch_size % config.devices:
        raise InvalidArgument(
            f"A batch is divided evenly among the devices. Received: batch_size={config.batch_size} and "
            f"devices={config.devices}"
        )
    if config.jit_compile:
        raise InvalidArgument(f"XLA trains on one device. Received: jit_compile and devices={config.devices}")
    if config.devices != crew.strategy.num_replicas_in_sync:
        raise InvalidArgument(
            f"Several workers train on all their devices together. Received: devices={config.devices}, and "
            f"{crew.share.of} workers with {crew.strategy.num_replicas_in_sync}"
        )


@dataclass(frozen=True)
class Lesson:
    """What a crew trains a model on: what each device takes, step by step."""

    batches: Any  # of the epochs that are left
    steps: int  # an epoch's
    validation: Any | None
    validation_steps: int
    epochs: range


@contextmanager
def losses_told(crew: Crew) -> Iterator[None]:
    """Raises Unavailable when a worker is lost, which the others notice within half a minute."""
    try:
        yield
    except _LOST as error:
        if crew.share.of == 1:
            raise
        raise Unavailable(f"Workers train together until all are done. Received: {error.message}") from error


def teach(crew: Crew, model: Any, lesson: Lesson, callbacks: list[Any]) -> None:
    """What `model.fit` does, on a crew, within its strategy's scope."""
    at_once = steps_at_once(lesson.steps)
    listeners = keras.callbacks.CallbackList(callbacks, model=model, epochs=lesson.epochs.stop, steps=lesson.steps)
    batches = _by_device(crew, lesson.batches)
    crew.strategy.run(model.test_step, args=(next(iter(batches)),))  # makes the metrics, which a graph cannot
    train, left = _on_all(crew, model.train_step, at_once), iter(batches)
    judge = _judging(crew, model, lesson)
    model.stop_training = False
    listeners.on_train_begin()
    for epoch in lesson.epochs:
        listeners.on_epoch_begin(epoch)
        model.reset_metrics()
        for step in range(0, lesson.steps, at_once):
            train(left)
            listeners.on_train_batch_end(step + at_once - 1, {})
        figures = _figures(model)
        listeners.on_epoch_end(epoch, {**figures, **judge()})
        if model.stop_training:
            break
    listeners.on_train_end()


def _by_device(crew: Crew, batches: Any) -> Any:
    return crew.strategy.distribute_datasets_from_function(lambda _: batches)


def _on_all(crew: Crew, step: Callable[[Any], Any], times: int) -> Callable[[Any], None]:
    @tf.function
    def run(batches: Any) -> None:
        for _ in tf.range(times):
            crew.strategy.run(step, args=(next(batches),))

    return run


def _judging(crew: Crew, model: Any, lesson: Lesson) -> Callable[[], Mapping[str, float]]:
    """What gives the figures on the validation samples; none without."""
    if lesson.validation is None:
        return dict
    test, batches = _on_all(crew, model.test_step, lesson.validation_steps), _by_device(crew, lesson.validation)

    def judge() -> Mapping[str, float]:
        model.reset_metrics()
        test(iter(batches))
        return {f"val_{name}": value for name, value in _figures(model).items()}

    return judge


def _figures(model: Any) -> Mapping[str, float]:
    return {name: float(value) for name, value in model.get_metrics_result().items()}
