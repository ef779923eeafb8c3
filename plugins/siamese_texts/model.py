"""The network: numbers of words `left` and `right` int32 [N, length] in, the chance of the same topic [N, 1] out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from pydantic import Field

from plugins.contract import Config
from plugins.texts import FIRST, UNKNOWN, lookup


class PairsConfig(Config):
    """Hyper-parameters; the book names LSTM(32) and nothing else."""

    epochs: int = 6
    batch_size: int = 128
    top_words: int = Field(default=10_000, ge=10, le=30_983, description="numbers; all but 4 are frequent words")
    length: int = Field(default=80, ge=1, le=2377, description="words of each newswire that are read, the first ones")
    learning_rate: float = Field(default=2e-3, gt=0)


class FrequentWords(layers.Layer):
    """Numbers of words as they are, the rarer ones as unknown."""

    def __init__(self, size: int, **options: Any) -> None:
        super().__init__(**options)
        self.size = size

    def call(self, numbers: Any) -> Any:
        """Numbers below `size`."""
        return tf.where(numbers < self.size, numbers, UNKNOWN)


class Likeness(layers.Layer):
    """Two vectors [N, K] to [N, 2K]: |a - b| and a b, which are the same for (b, a).

    The book lays the two side by side, so that its score depends on which text comes first.
    """

    def call(self, left: Any, right: Any) -> Any:
        """How far apart, and how much alike."""
        return tf.concat([tf.abs(left - right), left * right], axis=1)


def build(config: PairsConfig, words: Sequence[str]) -> Any:
    """One embedding and one LSTM for both texts; the model carries the words it knows in `model.words`."""
    reader = keras.Sequential(
        [
            keras.Input((config.length,), dtype="int32"),
            FrequentWords(config.top_words),
            layers.Embedding(config.top_words, 64, mask_zero=True),
            layers.LSTM(32),
        ],
        name="reader",
    )
    sides = {side: keras.Input((config.length,), dtype="int32", name=side) for side in ("left", "right")}
    likeness = Likeness()(*(reader(numbers) for numbers in sides.values()))
    model = keras.Model(sides, layers.Dense(1, activation="sigmoid")(likeness), name="siamese_texts")
    model.words = lookup(words[: config.top_words - FIRST])
    model.compile(
        optimizer=keras.optimizers.RMSprop(config.learning_rate), loss="binary_crossentropy", metrics=["accuracy"]
    )
    return model
