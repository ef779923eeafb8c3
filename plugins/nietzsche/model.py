"""The networks: over characters or words an LSTM (listings 8.4 and 8.5), a GRU or a convnet, and a softmax over the
next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops
from pydantic import Field

from plugins.contract import Array, Config, Samples
from plugins.nietzsche.convnet import DILATIONS, TAPS
from plugins.nietzsche.data import text_of, unigram_nats
from plugins.nietzsche.tokens import LINE, SPACE, Characters, Vocabulary, Words


class TextConfig(Config):
    """Hyper-parameters of all variants; the defaults are the book's, but for `epochs` (60 there)."""

    epochs: int = Field(default=3, ge=1)
    corpus: str | None = Field(
        default=None, description="a UTF-8 text of your own: a path, its name in the mirror, or an https:// address"
    )
    tokens: Literal["characters", "words"] = "characters"
    vocabulary: int = Field(default=5000, ge=1, description="words and marks that are known, the most frequent ones")
    network: Literal["lstm", "gru", "conv1d"] = "lstm"
    every_position: bool = Field(default=True, description="learn after each token of a passage, not the last only")
    window: int = Field(default=60, ge=1, description="tokens in a training passage")
    step: int = Field(default=60, ge=1, description="tokens from the start of one passage to that of the next")
    units: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1, description="of what the last layer reads")
    optimizer: str = "adam"
    learning_rate: float = Field(default=0.01, gt=0)


def alphabet_of(codes: Array) -> str:
    """The characters of a text in code order; newline and space always, for empty prompts and unknown characters."""
    return "".join(sorted({chr(code) for code in np.unique(codes)} | {LINE, SPACE}))


def vocabulary_of(train: Samples, most: int) -> Vocabulary:
    """All characters, or the most frequent words."""
    if "words" not in train.assets:
        return Characters(alphabet_of(train.inputs), name="tokens")
    counts = np.bincount(train.inputs.ravel())
    codes = np.argsort(-counts, kind="stable")[: min(most, np.count_nonzero(counts))]
    return Words([train.assets["words"][code].decode() for code in codes], codes.tolist(), name="tokens")


def build(config: TextConfig, train: Samples) -> keras.Model:
    """Codes int32 [N, window] to chances of what comes next: after each position, [N, window, tokens], or the last.

    The book's LSTM(128) over one-hot characters has 641 * characters + 66,048 parameters. The loss is in nats a
    character.
    """
    vocabulary = vocabulary_of(train, config.vocabulary)
    codes = keras.Input((config.window,), dtype="int32")
    hidden = vocabulary(codes)
    if isinstance(vocabulary, Words):
        hidden = layers.Embedding(vocabulary.size, config.units, name="embedding")(hidden)
    hidden = _network(config)(hidden)
    if config.dropout:
        hidden = layers.Dropout(config.dropout)(hidden)
    model = keras.Model(codes, layers.Dense(vocabulary.size, activation="softmax", name="next")(hidden))
    optimizer = {"class_name": config.optimizer, "config": {"learning_rate": config.learning_rate}}
    model.compile(optimizer=keras.optimizers.get(optimizer), loss=_nats(vocabulary, train))
    return model


def _network(config: TextConfig) -> Callable[[Any], Any]:
    """From [N, window, any] to [N, window, units], or [N, units] of the last position."""
    if config.network == "conv1d":
        return _columns(config)
    recurrent = {"lstm": layers.LSTM, "gru": layers.GRU}[config.network]
    return recurrent(config.units, return_sequences=config.every_position, name=config.network)


def _columns(config: TextConfig) -> Callable[[Any], Any]:
    """Dilated causal convolutions, each tanh(filter) * sigmoid(gate) (van den Oord et al. 2016, equation 2)."""

    def apply(hidden: Any) -> Any:
        for number, dilation in enumerate(DILATIONS, 1):
            chosen, gate = (
                layers.Conv1D(
                    config.units,
                    TAPS,
                    padding="causal",
                    dilation_rate=dilation,
                    activation=activation,
                    name=f"{name}_{number}",
                )(hidden)
                for name, activation in (("filter", "tanh"), ("gate", "sigmoid"))
            )
            hidden = layers.Multiply()([chosen, gate])
        return hidden if config.every_position else hidden[:, -1]

    return apply


def _nats(vocabulary: Vocabulary, train: Samples) -> Callable[[Any, Any], Any]:
    """-log p of what follows, a character of the passage, whatever the tokens; [N, window] or [N].

    An unknown word costs its letters, too, by the frequencies of characters.
    """
    sizes, spelled = np.ones(1, np.float32), 0.0
    if "words" in train.assets:
        text = text_of(train.inputs, train.assets)
        sizes = np.array([len(word.decode()) for word in train.assets["words"]], np.float32)
        spelled = unigram_nats(text, text)

    def nats(next_codes: Any, probabilities: Any) -> Any:
        codes = next_codes if len(probabilities.shape) == 3 else next_codes[:, -1:]
        ids = vocabulary.ids(codes)
        lost = keras.losses.sparse_categorical_crossentropy(
            ids, probabilities if len(probabilities.shape) == 3 else probabilities[:, None]
        )
        if len(sizes) == 1:
            return lost
        size = ops.take(sizes, ops.cast(codes, "int32"))
        strange = ops.cast(ops.equal(ids, vocabulary.unknown), "float32") * size * spelled
        return ops.sum(lost + strange, axis=-1) / ops.sum(size, axis=-1)

    return nats
