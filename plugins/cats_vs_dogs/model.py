"""The networks: pixels 0 to 255 [N, 150, 150, 3] in, the chance of a dog [N, 1] out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers
from pydantic import Field

from plugins.cats_vs_dogs.augmentation import augmentation
from plugins.contract import Config, Samples
from plugins.pictures import View
from plugins.vgg16 import vgg16

VIEW = View(side=150)
SMALLER = 100  # pixels a side, for training that takes many epochs
TUNED = "block5"  # of VGG16, listing 5.22


class CatsConfig(Config):
    """Hyper-parameters; RMSprop throughout, as in the book."""

    batch_size: int = 20
    learning_rate: float = Field(default=1e-4, gt=0)
    copies: int = Field(default=1, ge=1, description="of each training picture: itself, and others changed by chance")
    head_epochs: int = Field(default=1, ge=0, description="of a fine-tuned network: in which only its head learns")
    head_learning_rate: float = Field(default=1e-4, gt=0, description="in those")


def build(config: CatsConfig, variant: str, train: Samples) -> Any:
    """The variant's network, compiled."""
    inputs = keras.Input((VIEW.side, VIEW.side, 3))
    head_steps = config.head_epochs * -(-len(train) // config.batch_size) if variant == "vgg16_fine_tuned" else 0
    match variant:
        case "from_scratch":
            chance = convnet(inputs)
        case "augmented":
            smaller = layers.Resizing(SMALLER, SMALLER)(inputs)
            chance = convnet(augmentation(config.seed)(smaller), dropout=0.5)
        case "vgg16_features":
            chance = head(vgg16(inputs, train.assets), dropout=0.5)
        case "vgg16_augmented":
            chance = head(vgg16(inputs, train.assets))
        case "vgg16_fine_tuned":
            chance = head(Thaw(head_steps, name="thaw")(vgg16(inputs, train.assets, tuned=TUNED)))
    model = keras.Model(inputs, layers.Activation("sigmoid", name="dog")(chance), name=variant)
    rate = config.learning_rate
    if head_steps:
        rate = keras.optimizers.schedules.PiecewiseConstantDecay([head_steps], [config.head_learning_rate, rate])
    model.compile(optimizer=keras.optimizers.RMSprop(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def convnet(x: Any, dropout: float = 0) -> Any:
    """Listing 5.5, 3,453,121 parameters; with dropout, listing 5.13."""
    x = layers.Rescaling(1 / 255)(x)
    for number, filters in enumerate((32, 64, 128, 128), start=1):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(512, activation="relu")(x)
    return layers.Dense(1)(x)


def head(x: Any, dropout: float = 0) -> Any:
    """Listings 5.18 and 5.20, 2,097,665 parameters."""
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    if dropout:
        x = layers.Dropout(dropout)(x)
    return layers.Dense(1)(x)


class Thaw(layers.Layer):
    """Passes everything on, but for its first `steps` batches of training no gradient back.

    What lies before is then as frozen as a layer that is not trainable; what lies behind learns first (book 5.3.2).
    """

    def __init__(self, steps: int, **options: Any) -> None:
        super().__init__(**options)
        self.steps = steps

    def build(self, shape: Any) -> None:
        """The number of batches seen, which a checkpoint keeps."""
        self.seen = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="seen")

    def call(self, x: Any, training: bool = False) -> Any:
        """`x`."""
        if not training:
            return x
        thawed = keras.ops.cast(self.seen >= self.steps, x.dtype)
        self.seen.assign_add(1)
        held = keras.ops.stop_gradient(x)
        return held + thawed * (x - held)


def frozen_end(variant: str) -> str | None:
    """The last layer of what training leaves alone, if it leaves any."""
    ends = {"vgg16_features": "block5_pool", "vgg16_augmented": "block5_pool", "vgg16_fine_tuned": "block4_pool"}
    return ends.get(variant)


def layers_of(variant: str) -> tuple[str, ...]:
    """The layers to look into; the last is the one whose maps tell where something is."""
    if variant.startswith("vgg16"):
        return (*(f"block{number}_conv1" for number in range(1, 6)), "block5_conv3")
    return tuple(f"conv{number}" for number in range(1, 5))
