"""Three ways to the same last step: where the two hands point [N, 4] becomes the chances of 720 times [N, 720]."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops
from pydantic import Field

from plugins.clock.data import SIDE, TIMES, angles_of, directions
from plugins.contract import Config

# How sharply the face tells minutes apart: a vector of length 1 that is off by s degrees has the score of a normal
# distribution around 0 with a deviation of 57.3 / sqrt(SHARPNESS) = 2.6 degrees; a minute is 6 degrees.
SHARPNESS = 500.0


class ClockConfig(Config):
    """Hyper-parameters; the book gives none."""

    features: Literal["pixels", "hand_tips", "angles"] = Field(default="pixels", description="what is seen of a clock")
    epochs: int = Field(default=30, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0, description="at the start; falls to 0 along half a cosine")


MAPS = ("edges", "strokes", "hands")  # the names of the convnet's convolutions


class Face(layers.Layer):
    """From two vectors [N, 4] (x and y of the hour hand, then of the minute hand) to the scores of 720 times.

    The score of a time is how far the hands lie along where they point at that time. Nothing is learned here: it is
    the "rounding and a lookup" of book 4.3.2.
    """

    def call(self, hands: Any) -> Any:
        """Logits [N, 720]."""
        pointing = directions(angles_of(np.arange(TIMES))).reshape(TIMES, 4)
        return SHARPNESS * ops.matmul(hands, ops.convert_to_tensor(pointing.T, "float32"))


class Directions(layers.Layer):
    """Angles in degrees clockwise from 12 [N, 2] to unit vectors [N, 4]."""

    def call(self, angles: Any) -> Any:
        """x and y of each."""
        radians = ops.cast(angles, "float32") * (np.pi / 180)
        x, y = ops.sin(radians), ops.cos(radians)
        return ops.reshape(ops.stack([x, y], axis=-1), (-1, 4))


def pixels() -> list[layers.Layer]:
    """A convnet: it has to find the centre, the hands, which is which and where they point; 286,020 parameters."""
    edges, strokes, hands = MAPS
    return [
        keras.Input((SIDE, SIDE)),
        layers.Rescaling(1 / 255),
        layers.Reshape((SIDE, SIDE, 1)),
        layers.Conv2D(16, 5, strides=2, padding="same", activation="relu", name=edges),
        layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name=strokes),
        layers.Conv2D(64, 3, strides=2, padding="same", activation="relu", name=hands),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(4),
    ]


def hand_tips() -> list[layers.Layer]:
    """A small net: it has to turn and stretch two vectors; 292 parameters."""
    return [keras.Input((4,)), layers.Dense(32, activation="relu"), layers.Dense(4)]


def angles() -> list[layers.Layer]:
    """Nothing to learn."""
    return [keras.Input((2,)), Directions()]


NETWORKS = {"pixels": pixels, "hand_tips": hand_tips, "angles": angles}


def minutes_off(times: Any, chances: Any) -> Any:
    """By how many minutes the likeliest time is wrong, the shorter way round the face, [N]."""
    apart = ops.abs(ops.cast(ops.reshape(times, (-1,)), "float32") - ops.cast(ops.argmax(chances, axis=1), "float32"))
    return ops.minimum(apart, TIMES - apart)


def build(config: ClockConfig, variant: str, samples: int) -> Any:
    """The variant's network and the face, compiled for training on so many samples."""
    model = keras.Sequential([*NETWORKS[variant](), Face(), layers.Softmax()], name=variant)
    schedule = keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.epochs * -(-samples // config.batch_size)
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", minutes_off],
    )
    return model
