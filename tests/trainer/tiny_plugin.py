"""A plugin that trains in a second: is the sum of four numbers positive? Dropout, so that random numbers matter."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from plugins.contract import (
    Array,
    Config,
    Data,
    Datasets,
    EvaluationProtocol,
    HoldOut,
    InputField,
    Metric,
    OutputField,
    Plugin,
    Samples,
    Signature,
    Task,
    Variant,
)
from services.trainer.fit.recipe import Recipe
from services.trainer.progress import PlainProgress
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import MetricRecord

LABELS = ("negative", "positive")


def draw(count: int, seed: int) -> Samples:
    """`count` points, float32 [count, 4], and whether their sum is positive."""
    inputs: Array = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return Samples(inputs, (inputs.sum(axis=1) > 0).astype(np.int64))


class TinyConfig(Config):
    """Hyper-parameters."""

    epochs: int = 3
    batch_size: int = 16
    units: int = 8
    learning_rate: float = 0.01


class Tiny(Plugin[TinyConfig]):
    """Positive or negative?"""

    name = "tiny"
    title = "Is the sum positive?"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    variants = MappingProxyType({"dense": Variant("one layer"), "stuck": Variant("learns nothing", {"units": 1})})
    protocol: ClassVar[EvaluationProtocol] = HoldOut(validation=50)
    config = TinyConfig

    def load_data(self, config: TinyConfig, datasets: Datasets) -> Data:
        return Data(train=draw(400, 1), test=draw(100, 2))

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        scale = keras.layers.Normalization()
        scale.adapt(train.inputs)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((4,)),
                scale,
                layers.Dense(config.units, activation="relu"),
                layers.Dropout(0.2),
                layers.Dense(2, activation="softmax"),
            ]
        )
        optimizer = keras.optimizers.Adam(config.learning_rate if variant == "dense" else 0.0)
        model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        def classify(numbers: tf.Tensor) -> Mapping[str, tf.Tensor]:
            return {"scores": model(numbers)}

        return {
            "classify": Signature(
                Task.CLASSIFY,
                classify,
                (InputField(name="numbers", dtype="float32", shape=(4,)),),
                (OutputField(name="scores", dtype="float32", shape=(2,), content="scores", labels=LABELS),),
                {"numbers": [1.0, -2.0, 3.0, 0.5]},
            )
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        return ({"numbers": row.tolist()} for row in samples.inputs)


def half_sighted(variant: str) -> Any:
    """A model that sees two of the four numbers: on the left by a list of layers, on the right by a graph."""
    answer = keras.layers.Dense(2, activation="softmax")
    numbers = keras.Input((4,))
    if variant == "left":
        model = keras.Sequential([numbers, keras.layers.Rescaling([1.0, 1.0, 0.0, 0.0]), answer])
    else:
        model = keras.Model(numbers, answer(numbers * np.array([[0, 0, 1, 1]], np.float32)))
    model.compile(keras.optimizers.Adam(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


PLUGIN = Tiny()


def recipe_of(plugin: Tiny, folder: Path, config: TinyConfig) -> Recipe:
    """How the first variant is trained, in silence."""
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    metric = MetricRecord(name="accuracy", higher_is_better=True)
    return Recipe(plugin, next(iter(plugin.variants)), config, metric, RunFolder(folder), progress)
