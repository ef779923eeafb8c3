"""The book's network (listings 7.4 to 7.6): posts, strings [N], in; age, income and gender out, each by its name."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops
from pydantic import Field

from plugins.contract import Array, Config
from plugins.social_posts.data import DECILES

VOCABULARY = 50_000  # words at most
LENGTH = 64  # words of a post that are read


class PostsConfig(Config):
    """Hyper-parameters; the book trains 10 epochs at RMSprop's 0.001 throughout."""

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = Field(default=1e-3, gt=0, description="at the start; falls to 0 along half a cosine")


def build(config: PostsConfig, texts: Array) -> Any:
    """Knows the words of these posts. Age is in years, income ten chances, gender the chance of "female"."""
    words = layers.TextVectorization(max_tokens=VOCABULARY, output_sequence_length=LENGTH)
    words.adapt(texts)
    posts = keras.Input((), dtype="string", name="posts")
    x = layers.Embedding(words.vocabulary_size(), 256)(words(posts))
    x = layers.Conv1D(128, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling1D(5)(x)
    x = layers.Conv1D(256, 5, padding="same", activation="relu")(x)
    x = layers.Conv1D(256, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling1D(5)(x)
    x = layers.Conv1D(256, 5, padding="same", activation="relu")(x)
    x = layers.Conv1D(256, 5, padding="same", activation="relu")(x)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dense(128, activation="relu")(x)
    decades = layers.Dense(1)(x)
    answers = {
        "age": layers.Rescaling(10.0, name="age")(decades),
        "income": layers.Dense(len(DECILES), activation="softmax", name="income")(x),
        "gender": layers.Dense(1, activation="sigmoid", name="gender")(x),
    }
    model = keras.Model(posts, answers, name="convnet")
    model.words = words  # TensorBoard shows them beside their vectors
    steps = config.epochs * -(-len(texts) // config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(
        optimizer=keras.optimizers.RMSprop(schedule),
        loss={"age": squared_decades, "income": "sparse_categorical_crossentropy", "gender": "binary_crossentropy"},
        loss_weights={"age": 0.25, "income": 1.0, "gender": 10.0},
        metrics={"age": "mae", "income": "accuracy", "gender": "accuracy"},
    )
    return model


def after_words(model: Any) -> Any:
    """The network from the numbers of words on, int [N, 64]."""
    vectors = next(layer for layer in model.layers if isinstance(layer, layers.Embedding))
    return keras.Model(vectors.input, model.output)


def squared_decades(right: Any, answer: Any) -> Any:
    """The squared error in decades: of the size, 3 to 5, that the book's weights make up for."""
    return ops.mean(ops.square((answer - right) / 10), axis=-1)
