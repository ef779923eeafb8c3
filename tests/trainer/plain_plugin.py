"""The tiny plugin without dropout, so that a batch gives the same gradients however it is divided."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from plugins.contract import Array, Data, Samples
from services.trainer.run_folder import RunFolder
from tests.trainer.tiny_plugin import Tiny, TinyConfig


class Plain(Tiny):
    """A baseline that no model beats, so that nothing is published."""

    def baseline(self, data: Data) -> Mapping[str, float]:
        return {"accuracy": 1.0}

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        layers = keras.layers
        scale = layers.Normalization()
        scale.adapt(train.inputs)
        parts = [scale, layers.Dense(config.units, activation="relu"), layers.Dense(2, activation="softmax")]
        model = keras.Sequential([keras.Input((4,)), *parts])
        model.compile(
            keras.optimizers.Adam(config.learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model


def state(run: Path) -> list[Array]:
    """What training has left: weights and the optimizer's own numbers."""
    with np.load(RunFolder(run).checkpoints("hold-out") / "state.npz") as stored:
        return [stored[name] for name in sorted(stored.files) if name != "words"]
