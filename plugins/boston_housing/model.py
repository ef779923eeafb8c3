"""The book's network (listing 3.26) behind its own scaling: 13 raw features [N, 13] in, thousand dollars [N, 1] out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers
from pydantic import Field

from plugins.contract import Array, Config


class PricesConfig(Config):
    """Hyper-parameters; the book trains 80 epochs at a steady 0.001."""

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=0.015, gt=0, description="at the start; falls to 0 along half a cosine")


def build(config: PricesConfig, features: Array) -> Any:
    """64-64-1, 5,121 parameters, and the means and variances of these training features."""
    scaling = layers.Normalization(name="scaling")
    scaling.adapt(features)
    model = keras.Sequential(
        [
            keras.Input((features.shape[1],)),
            scaling,
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
        ],
        name="prices",
    )
    steps = config.epochs * -(-len(features) // config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(optimizer=keras.optimizers.AdamW(schedule), loss="mse", metrics=["mae"])
    return model
