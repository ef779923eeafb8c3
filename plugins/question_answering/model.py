"""The networks: numbers of words `story` [N, 10, 8] and `question` [N, 8] in, chances of the answers [N, 6] out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from pydantic import Field

from plugins.contract import Config
from plugins.question_answering.data import ANSWERS, SENTENCES, WORDS
from plugins.texts import lookup

ATTENTION = "attention"


class AnswersConfig(Config):
    """Hyper-parameters; the book trains 10 epochs in batches of 128 on numbers without meaning."""

    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "rmsprop"
    learning_rate: float = Field(default=1e-3, gt=0)
    width: int = Field(default=32, ge=1, description="numbers that stand for a sentence in the memory")


def two_lstms(config: AnswersConfig, story: Any, question: Any, words: int) -> Any:
    """Listing 7.1: one LSTM reads the story as one long sentence, another the question; padding is skipped."""
    text = layers.Reshape((SENTENCES * WORDS,))(story)
    encoded_text = layers.LSTM(32)(layers.Embedding(words, 64, mask_zero=True)(text))
    encoded_question = layers.LSTM(16)(layers.Embedding(words, 32, mask_zero=True)(question))
    return layers.Concatenate()([encoded_text, encoded_question])


class SumOfWords(layers.Layer):
    """Numbers [..., 8] to the sum of their words' vectors [..., width]; 0 adds nothing."""

    def __init__(self, words: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.vectors = layers.Embedding(words, width)

    def call(self, numbers: Any) -> Any:
        """The order of the words does not count."""
        present = tf.cast(numbers > 0, tf.float32)[..., tf.newaxis]
        return tf.reduce_sum(self.vectors(numbers) * present, axis=-2)


class Recency(layers.Layer):
    """Adds to each sentence [N, 10, width] a vector of its place, so that what was told last can be preferred."""

    def build(self, shape: Sequence[int | None]) -> None:
        """One vector a place."""
        self.places = self.add_weight(shape=shape[1:], initializer="random_normal", name="places")

    def call(self, sentences: Any) -> Any:
        """The last place is the last sentence's."""
        return sentences + self.places


class Attention(layers.Layer):
    """How much each sentence matters to the question, [N, 10]; rows add up to 1, padding gets nothing."""

    def call(self, question: Any, keys: Any, story: Any) -> Any:
        """A softmax over the scalar products."""
        match = tf.einsum("nd,nsd->ns", question, keys)
        told = tf.reduce_any(story > 0, axis=-1)
        return tf.nn.softmax(tf.where(told, match, -1e9))


class Recall(layers.Layer):
    """What the sentences say [N, 10, width], by how much each matters: [N, width]."""

    def call(self, weights: Any, values: Any) -> Any:
        """A weighted mean."""
        return tf.einsum("ns,nsd->nd", weights, values)


def attention(config: AnswersConfig, story: Any, question: Any, words: int) -> Any:
    """A memory network with one hop (Sukhbaatar et al. 2015, section 2.1; places as in 4.1).

    The question is compared with each sentence's key; the answer comes from the values of those that match.
    """
    asked = SumOfWords(words, config.width, name="asked")(question)
    keys = Recency(name="key_places")(SumOfWords(words, config.width, name="keys")(story))
    values = Recency(name="value_places")(SumOfWords(words, config.width, name="values")(story))
    weights = Attention(name=ATTENTION)(asked, keys, story)
    return layers.Add()([Recall()(weights, values), asked])


NETWORKS = {"two_lstms": two_lstms, "attention": attention}


def build(config: AnswersConfig, variant: str, words: Sequence[str]) -> Any:
    """The variant's network, compiled; it carries the words it knows in `model.words`."""
    story = keras.Input((SENTENCES, WORDS), dtype="int32", name="story")
    question = keras.Input((WORDS,), dtype="int32", name="question")
    read = NETWORKS[variant](config, story, question, len(words) + 1)
    scores = layers.Dense(len(ANSWERS), activation="softmax")(read)
    model = keras.Model({"story": story, "question": question}, scores, name=variant)
    model.words = lookup(words)
    optimizer = {"class_name": config.optimizer, "config": {"learning_rate": config.learning_rate}}
    model.compile(
        optimizer=keras.optimizers.get(optimizer), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model
