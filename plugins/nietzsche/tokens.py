"""What a network reads and writes: characters, or words and marks; from a raw prompt in the graph and back to UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

MOST_UNKNOWN = 64  # that are told of a prompt
SPACE, LINE = " ", "\n"
# A word or a mark, with the space before it, or other white space: one after another they are the text again.
_TOKEN = r"(?s) ?\pL+| ?\S|."
_CUT = "\x1f"


def tokens_in(texts: Any) -> Any:
    """Strings [N] to a ragged tensor of words and marks [N, any], in lower case."""
    valid = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", replace_control_characters=False)
    lower = tf.strings.regex_replace(tf.strings.lower(valid, encoding="utf-8"), _CUT, SPACE)
    cut = tf.strings.split(tf.strings.regex_replace(lower, _TOKEN, _CUT + r"\0"), _CUT)
    return tf.ragged.boolean_mask(cut, tf.not_equal(cut, ""))


class Vocabulary(layers.Layer):
    """The tokens a network knows, by number. `codes` are those of the training data, `texts` what a token looks like.

    A code without a token has the number `unknown`. The number after the last one is no token: before a prompt.
    """

    def __init__(self, texts: Sequence[str], codes: Sequence[int], unknown: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.texts = tuple(texts)
        self.codes = np.array(codes, np.int32)
        self.unknown = unknown
        self._ids = np.full(self.codes.max() + 2, unknown, np.int32)
        self._ids[self.codes] = np.arange(len(texts) - len(codes), len(texts))

    @property
    def size(self) -> int:
        """How many tokens."""
        return len(self.texts)

    @property
    def sizes(self) -> Any:
        """Characters of each, int32."""
        return np.array(list(map(len, self.texts)), np.int32)

    def ids(self, codes: Any) -> Any:
        """Codes to numbers, int32 of the same shape."""
        known = keras.ops.clip(keras.ops.cast(codes, "int32"), 0, len(self._ids) - 1)
        return keras.ops.take(self._ids, known)

    def aligned(self, ids: Any, width: int) -> tuple[Any, Any]:
        """The last `width` of ragged [N, any], to the right of int32 [N, width], and how many there are, int32 [N]."""
        last = ids[:, -width:]
        rows = last[:, ::-1].to_tensor(self.size, shape=[None, width])[:, ::-1]
        return rows, tf.cast(last.row_lengths(), tf.int32)


@keras.saving.register_keras_serializable(package="nietzsche")
class Characters(Vocabulary):
    """Code points int32 [...] to one-hot float32 [..., characters]; a character outside is read as a space."""

    kept = slice(0, None)  # the tokens that may be written

    def __init__(self, characters: str, **settings: Any) -> None:
        super().__init__(list(characters), list(map(ord, characters)), characters.index(SPACE), **settings)

    def call(self, codes: Any) -> Any:
        """One-hot, as the book feeds them."""
        return keras.ops.one_hot(self.ids(codes), self.size)

    def get_config(self) -> dict[str, Any]:
        """What Keras saves."""
        return {**super().get_config(), "characters": "".join(self.texts)}

    def read(self, prompt: Any, width: int) -> tuple[Any, Any, Any]:
        """The last `width` characters of each prompt, string [N]: numbers, how many, and which of them are unknown.

        Lower-cased as the corpus is; bytes that are not UTF-8 are characters that are unknown.
        """
        codes = tf.strings.unicode_decode(tf.strings.lower(prompt, encoding="utf-8"), "UTF-8")[:, -width:]
        ids = tf.ragged.map_flat_values(self.ids, codes)
        strange = _distinct(codes, (ids == self.unknown) & (codes != ord(SPACE)))
        return *self.aligned(ids, width), tf.strings.unicode_encode(strange, "UTF-8")

    def text(self, ids: Any, lengths: Any) -> Any:
        """The first `lengths[n]` of each row of int32 [N, longest], as UTF-8 string [N]."""
        return tf.strings.unicode_encode(tf.RaggedTensor.from_tensor(tf.gather(self.codes, ids), lengths), "UTF-8")


@keras.saving.register_keras_serializable(package="nietzsche")
class Words(Vocabulary):
    """Numbers of words in the data, int32 [...], to the network's; 0, which is never written, is any other word."""

    kept = slice(1, None)

    def __init__(self, words: Sequence[str], codes: Sequence[int], **settings: Any) -> None:
        super().__init__(["", *words], codes, 0, **settings)
        self.lookup = layers.StringLookup(vocabulary=list(words), num_oov_indices=1, encoding="utf-8")

    def build(self, input_shape: Any) -> None:
        """The table of words is there from the beginning."""
        self.lookup.build(input_shape)

    def call(self, codes: Any) -> Any:
        """Numbers, for an embedding."""
        return self.ids(codes)

    def get_config(self) -> dict[str, Any]:
        """What Keras saves."""
        return {**super().get_config(), "words": self.texts[1:], "codes": self.codes.tolist()}

    def read(self, prompt: Any, width: int) -> tuple[Any, Any, Any]:
        """As Characters.read, of words and marks; the unknown ones with a space between."""
        words = tokens_in(prompt)[:, -width:]
        ids = tf.ragged.map_flat_values(self._numbers, words)
        strange = tf.ragged.map_flat_values(tf.strings.strip, _distinct(words, ids == self.unknown))
        return *self.aligned(ids, width), tf.strings.reduce_join(strange, axis=1, separator=SPACE)

    def _numbers(self, words: Any) -> Any:
        """Of strings [any]; a word that is known with a space before it only, as a prompt begins, is that one."""
        numbers = self.lookup(words)
        spaced = self.lookup(tf.strings.join([SPACE, words]))
        return tf.cast(tf.where(numbers == self.unknown, spaced, numbers), tf.int32)

    def text(self, ids: Any, lengths: Any) -> Any:
        """As Characters.text."""
        return tf.strings.reduce_join(tf.RaggedTensor.from_tensor(tf.gather(self.texts, ids), lengths), axis=1)


def _distinct(tokens: Any, chosen: Any) -> Any:
    """The chosen tokens of each row of ragged [N, any], each once, in order; so many at most."""
    left = tf.ragged.boolean_mask(tokens, chosen)
    names, numbers = tf.unique(left.values, tf.int64)
    among = tf.maximum(tf.size(names, tf.int64), 1)
    keys = tf.unique(left.value_rowids() * among + numbers).y
    rows = tf.RaggedTensor.from_value_rowids(tf.gather(names, keys % among), keys // among, nrows=left.nrows())
    return rows[:, :MOST_UNKNOWN]
