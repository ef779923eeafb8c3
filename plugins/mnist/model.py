"""The networks: pixels 0 to 255 [N, 28, 28] in, chances of the ten digits [N, 10] out."""

from __future__ import annotations

from itertools import chain
from typing import Any

import keras
from keras import layers
from pydantic import Field

from plugins.contract import Config

SIDE = 28
CLASSES = 10


class DigitsConfig(Config):
    """Hyper-parameters; the book trains 5 epochs at RMSprop's 0.001 throughout."""

    learning_rate: float = Field(default=1e-3, gt=0, description="at the start; falls to 0 along half a cosine")


MAPS = ("edges", "strokes", "parts")  # the names of the convnet's convolutions


def dense() -> list[layers.Layer]:
    """Listing 2.2, 407,050 parameters."""
    return [layers.Flatten(), layers.Dense(512, activation="relu"), *classes()]


def classes() -> list[layers.Layer]:
    """A softmax in a layer of its own, because explanations start from the logits."""
    return [layers.Dense(CLASSES), layers.Softmax()]


def convnet(convolution: type[layers.Layer] = layers.Conv2D) -> list[layers.Layer]:
    """Listings 5.1 and 5.2, 93,322 parameters."""
    first, second, third = MAPS
    return [
        layers.Reshape((SIDE, SIDE, 1)),
        convolution(32, 3, activation="relu", name=first),
        layers.MaxPooling2D(2),
        convolution(64, 3, activation="relu", name=second),
        layers.MaxPooling2D(2),
        convolution(64, 3, activation="relu", name=third),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        *classes(),
    ]


def separable() -> list[layers.Layer]:
    """The convnet with every convolution depthwise separable (book 7.3.1), 44,787 parameters."""
    return convnet(layers.SeparableConv2D)


def batch_normalised() -> list[layers.Layer]:
    """The convnet with batch normalisation after every hidden layer (book 7.3.1), 94,218 parameters."""
    *hidden, logits, scores = convnet()
    learns = (layers.Conv2D, layers.Dense)
    steps = [(layer, layers.BatchNormalization()) if isinstance(layer, learns) else (layer,) for layer in hidden]
    return [*chain.from_iterable(steps), logits, scores]


NETWORKS = {"dense": dense, "convnet": convnet, "separable": separable, "batch_normalised": batch_normalised}


def build(config: DigitsConfig, variant: str, samples: int) -> Any:
    """The variant's network behind its own scaling, compiled for training on so many samples.

    The falling learning rate (Loshchilov and Hutter 2017, without restarts) is what makes the last epoch the best one,
    seed after seed.
    """
    model = keras.Sequential([keras.Input((SIDE, SIDE)), layers.Rescaling(1 / 255), *NETWORKS[variant]()], name=variant)
    steps = config.epochs * -(-samples // config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(
        optimizer=keras.optimizers.RMSprop(schedule), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model
