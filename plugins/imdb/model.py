"""The networks: numbers of words int32 [N, length] in, the chance that the review is positive [N, 1] out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import keras
import numpy as np
from keras import layers
from pydantic import Field

from plugins.contract import Config
from plugins.imdb.reader import Reader
from plugins.texts import FIRST, multi_hot

WIDTH = 100  # numbers in one of GloVe's word vectors


class ReviewsConfig(Config):
    """Hyper-parameters; the defaults are the book's for a bag of words (3.4)."""

    epochs: int = 4
    batch_size: int = 512
    top_words: int = Field(default=10_000, ge=10, le=65_536, description="numbers; all but 4 are frequent words")
    length: int = Field(default=2_500, ge=2, description="words that are read; the longest review has 2,494")
    from_start: bool = Field(default=False, description="read the first words instead of the last")
    embedding: Literal["learned", "glove"] = Field(
        default="learned", description="glove: vectors that stay as they are"
    )
    optimizer: str = "rmsprop"
    learning_rate: float = Field(default=1e-3, gt=0, description="at the start")
    cosine: bool = Field(default=False, description="the learning rate falls to 0 along half a cosine")


class MultiHot(layers.Layer):
    """Numbers int32 [N, any] to float32 [N, size]: 1 where a word occurs (listing 3.2).

    Made in the graph, batch by batch; the book keeps a gigabyte of these rows in memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__(name="multi_hot")
        self.size = size

    def call(self, numbers: Any) -> Any:
        """Padding leaves no mark."""
        return multi_hot(numbers, self.size)

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, int]:
        """What Keras asks instead of calling the layer."""
        return shape[0], self.size


Layers = list[layers.Layer]


def bag(config: ReviewsConfig, units: int = 16, penalty: Any = None, dropout: float = 0) -> Layers:
    """Two hidden layers over the marks of the words that occur (listings 3.3 and 4.3 to 4.8)."""
    body: Layers = [MultiHot(config.top_words)]
    for _ in range(2):
        body.append(layers.Dense(units, activation="relu", kernel_regularizer=penalty))
        if dropout:
            body.append(layers.Dropout(dropout))
    return body


def vectors(config: ReviewsConfig, width: int) -> layers.Layer:
    """A vector for each word: learned, or GloVe's."""
    if config.embedding == "glove":
        return layers.Embedding(config.top_words, WIDTH, trainable=False, name="vectors")
    return layers.Embedding(config.top_words, width, name="vectors")


def flat(config: ReviewsConfig) -> Layers:
    """Each place of the text has weights of its own (listing 6.7)."""
    return [vectors(config, 8), layers.Flatten()]


def flat_dense(config: ReviewsConfig) -> Layers:
    """With a hidden layer (listings 6.13 and 6.16)."""
    return [vectors(config, WIDTH), layers.Flatten(), layers.Dense(32, activation="relu")]


def convolutions(config: ReviewsConfig) -> Layers:
    """Listing 6.46, with the sigmoid that it forgets."""
    return [
        vectors(config, 128),
        layers.Conv1D(32, 7, activation="relu"),
        layers.MaxPooling1D(5),
        layers.Conv1D(32, 7, activation="relu"),
        layers.GlobalMaxPooling1D(),
    ]


# What stands before the last layer, which is a sigmoid everywhere.
NETWORKS: Mapping[str, Callable[[ReviewsConfig], Layers]] = MappingProxyType(
    {
        "bag_of_words": bag,
        "smaller": lambda config: bag(config, units=4),
        "larger": lambda config: bag(config, units=512),
        "l1": lambda config: bag(config, penalty=keras.regularizers.L1(0.001)),
        "l2": lambda config: bag(config, penalty=keras.regularizers.L2(0.001)),
        "dropout": lambda config: bag(config, dropout=0.5),
        "embedding_20": flat,
        "embedding_500": flat,
        "glove_200": flat_dense,
        "learned_200": flat_dense,
        "glove_all": flat_dense,
        "learned_all": flat_dense,
        "simple_rnn": lambda config: [vectors(config, 32), layers.SimpleRNN(32)],
        "lstm": lambda config: [vectors(config, 32), layers.LSTM(32)],
        "lstm_reversed": lambda config: [vectors(config, 128), layers.LSTM(32, go_backwards=True)],
        "bidirectional_lstm": lambda config: [vectors(config, 32), layers.Bidirectional(layers.LSTM(32))],
        "conv1d": convolutions,
    }
)


def build(config: ReviewsConfig, variant: str, words: Sequence[str], glove: Any, samples: int) -> Any:
    """The variant's network, with its reader of raw text in `model.reader`, compiled for training on so many samples.

    `words` are all there are, most frequent first, and `glove` their vectors, if the config asks for them.
    """
    body = NETWORKS[variant](config)
    model = keras.Sequential(
        [keras.Input((config.length,), dtype="int32"), *body, layers.Dense(1, activation="sigmoid")], name=variant
    )
    if config.embedding == "glove":
        _fill(model.get_layer("vectors"), glove)
    model.reader = Reader(words[: config.top_words - FIRST], config.length, config.from_start)
    optimizer = {"class_name": config.optimizer, "config": {"learning_rate": _rate(config, samples)}}
    model.compile(optimizer=keras.optimizers.get(optimizer), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def _fill(layer: layers.Layer, glove: Any) -> None:
    """GloVe's vectors where a word has one; zeros elsewhere, and for padding and marks (listing 6.12)."""
    (table,) = layer.get_weights()
    rows = min(len(table) - FIRST, len(glove))
    table = np.zeros_like(table)
    table[FIRST : FIRST + rows] = glove[:rows]
    layer.set_weights([table])


def _rate(config: ReviewsConfig, samples: int) -> Any:
    if not config.cosine:
        return config.learning_rate
    steps = config.epochs * -(-samples // config.batch_size)
    return keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
