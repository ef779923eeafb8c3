"""Four convnets of about 100,000 parameters: photographs [N, 32, 32, 3] of 0 to 255 in, chances [N, 10] out.

All begin with the same convolution and end with the same average; between them the photograph shrinks from 16 x 16 to
8 x 8 to 4 x 4 in the way that the variant is named after.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers
from pydantic import Field

from plugins.cifar10_files import LABELS, SIDE
from plugins.contract import Config


class PhotographsConfig(Config):
    """Hyper-parameters, the same for all variants; the book gives none."""

    whole: bool = Field(default=False, description="learn from all 50,000 photographs instead of 5,000")
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0, description="at the start; falls to 0 along half a cosine")


MAPS = ("edges", "things")  # the names of the first convolution's answer and of what is averaged at the end


def convolve(x: Any, filters: int, size: int = 3, strides: int = 1, kind: type[layers.Layer] = layers.Conv2D) -> Any:
    """A convolution, normalised by batch (book 7.3.1), then relu."""
    x = kind(filters, size, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def halve(x: Any, filters: int, convolution: Any = convolve) -> Any:
    """Two convolutions and a pool; padded alike, so that odd sizes shrink as a convolution of stride 2 shrinks them."""
    for _ in range(2):
        x = convolution(x, filters)
    return layers.MaxPooling2D(2, strides=2, padding="same")(x)


def keep(x: Any, filters: int, convolution: Any = convolve) -> Any:
    """Three convolutions; the size stays."""
    for _ in range(3):
        x = convolution(x, filters)
    return x


def plain(x: Any, convolution: Any = convolve, widths: tuple[int, int] = (32, 64)) -> Any:
    """Seven convolutions in a row, 101,618 parameters."""
    narrow, wide = widths
    return halve(keep(halve(x, narrow, convolution), narrow, convolution), wide, convolution)


def separable(x: Any) -> Any:
    """The same with depthwise separable convolutions (book 7.3.1), three times as wide; 106,858 parameters."""
    return plain(x, partial(convolve, kind=layers.SeparableConv2D), widths=(96, 192))


def residual(x: Any) -> Any:
    """The plain network with shortcuts (book 7.1.4): as they are past what keeps the size, 1 x 1 past what halves it.

    104,530 parameters.
    """
    x = layers.add([halve(x, 32), shortcut(x, 32)])
    x = layers.add([keep(x, 32), x])
    return layers.add([halve(x, 64), shortcut(x, 64)])


def shortcut(x: Any, filters: int) -> Any:
    """A linear 1 x 1 convolution of stride 2, so that the sizes fit."""
    return layers.Conv2D(filters, 1, strides=2, padding="same")(x)


def inception(x: Any) -> Any:
    """Two modules, 102,194 parameters."""
    return module(module(x, 20), 40)


def module(x: Any, filters: int) -> Any:
    """Four branches side by side (book 7.1.4, figure 7.8), each of stride 2, their channels joined."""
    a = convolve(x, filters, 1, strides=2)
    b = convolve(convolve(x, filters, 1), filters, 3, strides=2)
    c = convolve(layers.AveragePooling2D(3, strides=2, padding="same")(x), filters, 3)
    d = convolve(convolve(convolve(x, filters, 1), filters, 3), filters, 3, strides=2)
    return layers.concatenate([a, b, c, d])


NETWORKS = {"plain": plain, "residual": residual, "inception": inception, "separable": separable}


def build(config: PhotographsConfig, variant: str, samples: int) -> Any:
    """The variant's network, compiled for training on so many samples.

    While it trains, and only then, each photograph is mirrored and moved by chance (book 5.2.5).
    """
    pixels = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.RandomTranslation(0.1, 0.1, fill_mode="reflect")(layers.RandomFlip("horizontal")(x))
    edges, things = MAPS
    x = layers.MaxPooling2D(2)(layers.Identity(name=edges)(convolve(x, 24)))
    x = layers.GlobalAveragePooling2D()(layers.Identity(name=things)(NETWORKS[variant](x)))
    x = layers.Dense(len(LABELS))(layers.Dropout(0.2)(x))
    model = keras.Model(pixels, layers.Softmax()(x), name=variant)  # a layer of its own: explanations need the logits
    steps = config.epochs * -(-samples // config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model
