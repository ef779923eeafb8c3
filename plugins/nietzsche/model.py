"""The two networks: one LSTM layer over one-hot characters, a softmax over the next one (listings 8.4 and 8.5)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from pydantic import Field

from plugins.contract import Array, Config, Samples


class TextConfig(Config):
    """Hyper-parameters of both variants; the defaults are the book's, but for `epochs` (60 there)."""

    epochs: int = Field(default=3, ge=1)
    corpus: str | None = Field(
        default=None, description="a UTF-8 text of your own: a path, its name in the mirror, or an https:// address"
    )
    window: int = Field(default=60, ge=1, description="characters in a training passage")
    step: int = Field(default=3, ge=1, description="characters from the start of one passage to that of the next")
    units: int = Field(default=128, ge=1)
    optimizer: str = "rmsprop"
    learning_rate: float = Field(default=0.01, gt=0)


@keras.saving.register_keras_serializable(package="nietzsche")
class Alphabet(layers.Layer):
    """Code points int32 [...] to one-hot float32 [..., characters]; a character outside it is read as a space."""

    def __init__(self, characters: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.characters = characters
        self.codes = np.array([ord(character) for character in characters], np.int32)
        self.space = characters.index(" ")
        self._ids = np.full(self.codes.max() + 2, self.space, np.int32)
        self._ids[self.codes] = np.arange(len(characters))

    def ids(self, codes: Any) -> Any:
        """Code points to positions in the alphabet, int32 of the same shape."""
        known = keras.ops.clip(keras.ops.cast(codes, "int32"), 0, len(self._ids) - 1)
        return keras.ops.take(self._ids, known)

    def call(self, codes: Any) -> Any:
        """One-hot, as the book feeds them."""
        return keras.ops.one_hot(self.ids(codes), len(self.characters))

    def get_config(self) -> dict[str, Any]:
        """What Keras saves."""
        return {**super().get_config(), "characters": self.characters}


def alphabet_of(codes: Array) -> str:
    """The characters of a text in code order; newline and space always, for empty prompts and unknown characters."""
    return "".join(sorted({chr(code) for code in np.unique(codes)} | {"\n", " "}))


def build(config: TextConfig, every_position: bool, train: Samples) -> keras.Model:
    """LSTM(units) then softmax: 641 * characters + 66,048 parameters at 128 units.

    `every_position` predicts after each character of a passage, [N, window, characters]; otherwise after the last only,
    [N, characters]. The loss is in nats a character.
    """
    alphabet = Alphabet(alphabet_of(train.inputs), name="alphabet")
    codes = keras.Input((config.window,), dtype="int32")
    hidden = layers.LSTM(config.units, return_sequences=every_position, name="lstm")(alphabet(codes))
    model = keras.Model(codes, layers.Dense(len(alphabet.characters), activation="softmax", name="next")(hidden))

    def nats(next_codes: Any, probabilities: Any) -> Any:
        following = alphabet.ids(next_codes if every_position else next_codes[:, -1])
        return keras.losses.sparse_categorical_crossentropy(following, probabilities)

    optimizer = {"class_name": config.optimizer, "config": {"learning_rate": config.learning_rate}}
    model.compile(optimizer=keras.optimizers.get(optimizer), loss=nats)
    return model
