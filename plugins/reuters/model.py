"""The networks: numbers of words int32 [N, any] in, chances of the 46 topics [N, 46] out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from pydantic import Field

from plugins.contract import Config
from plugins.newswires import TOPICS
from plugins.texts import FIRST, UNKNOWN, lookup, multi_hot

UNITS = 64
SECOND_LAYER: Mapping[str, int] = MappingProxyType({"dense": UNITS, "one_hot": UNITS, "bottleneck": 4})


class NewswiresConfig(Config):
    """Hyper-parameters; the book has 9 epochs in batches of 512 for `dense`, 20 in batches of 128 for `bottleneck`."""

    epochs: int = 20
    batch_size: int = 128
    top_words: int = Field(default=10_000, ge=10, le=30_983, description="numbers; all but 4 are frequent words")


class WordMarks(layers.Layer):
    """Numbers int32 [N, any] to float32 [N, size]: 1 where a word occurs (listing 3.14).

    Made batch by batch: for all newswires at once they would be 450 MB.
    """

    def __init__(self, size: int) -> None:
        super().__init__(name="word_marks")
        self.size = size

    def call(self, numbers: Any) -> Any:
        """Rarer words count as unknown ones."""
        return multi_hot(tf.where(numbers < self.size, numbers, UNKNOWN), self.size)

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, int]:
        """What Keras asks instead of calling the layer."""
        return shape[0], self.size


def one_hot_crossentropy(topics: Any, scores: Any) -> Any:
    """The loss for topics as one-hot rows (listing 3.16); from their numbers, as everything else takes them."""
    rows = tf.one_hot(tf.cast(tf.reshape(topics, [-1]), tf.int32), len(TOPICS))
    return keras.losses.categorical_crossentropy(rows, scores)


def build(config: NewswiresConfig, variant: str, words: Sequence[str]) -> Any:
    """64-64-46 with 647,214 parameters, or 64-4-46 with 640,554; `words` are all there are, most frequent first.

    The model carries the words it knows in `model.words`.
    """
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            WordMarks(config.top_words),
            layers.Dense(UNITS, activation="relu"),
            layers.Dense(SECOND_LAYER[variant], activation="relu"),
            layers.Dense(len(TOPICS), activation="softmax"),
        ],
        name=variant,
    )
    model.words = lookup(words[: config.top_words - FIRST])
    loss = one_hot_crossentropy if variant == "one_hot" else "sparse_categorical_crossentropy"
    model.compile(optimizer="rmsprop", loss=loss, metrics=["accuracy"])
    return model
