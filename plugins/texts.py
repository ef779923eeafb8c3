"""How raw text becomes numbers, in the graph, for every plugin that reads words (book 6.1).

A model that carries a `StringLookup` in an attribute (`model.words = ...`) takes its words along when exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from keras import layers

# What the Tokenizer of Keras takes out, which numbered the words of IMDB and Reuters. The apostrophe stays.
_PUNCTUATION = r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\s]+"""

_MOST_BYTES = 2**16  # of a text: five times the longest film review

PADDING, START, UNKNOWN, FIRST = 0, 1, 2, 4  # in the datasets of Keras, whose most frequent word is 4: rank + 3
MARKS = ("", "", "?", "")  # what a person reads for the numbers below FIRST


def ending(texts: Any) -> Any:
    """The last 64 KiB of each string [N]: what is before them is not read by any network, and must not cost memory."""
    length = tf.strings.length(texts)
    return tf.strings.substr(texts, tf.maximum(length - _MOST_BYTES, 0), tf.fill(tf.shape(length), _MOST_BYTES))


def beginning(texts: Any) -> Any:
    """The first 64 KiB of each string [N]."""
    return tf.strings.substr(texts, 0, _MOST_BYTES)


def words_of(texts: Any) -> Any:
    """Strings [N] to a ragged tensor of words [N, any]: lower case, no punctuation."""
    lower = tf.strings.lower(texts, encoding="utf-8")
    return tf.strings.split(tf.strings.regex_replace(lower, _PUNCTUATION, " "))


def lookup(words: Sequence[str]) -> layers.StringLookup:
    """A layer that numbers words: 1 for the first, 0 for one it does not know."""
    return layers.StringLookup(vocabulary=list(words), num_oov_indices=1)


def numbers_of(words: layers.StringLookup, texts: Any) -> Any:
    """Strings [N] to ragged int32 [N, any] as `keras.datasets` numbers them: 1, then rank + 3, or 2 if unknown."""
    ranks = tf.cast(words(words_of(texts)), tf.int32)
    numbers = tf.ragged.map_flat_values(lambda rank: tf.where(rank > 0, rank + FIRST - 1, UNKNOWN), ranks)
    return tf.concat([tf.fill([tf.shape(texts)[0], 1], START), numbers], axis=1)


def words_by_number(words: layers.StringLookup) -> list[str]:
    """The word behind each number that `numbers_of` gives; the first four are marks."""
    return ["(padding)", "(start)", "(unknown)", "(unused)", *words.get_vocabulary()[1:]]


def last(numbers: Any, length: int) -> Any:
    """The last `length` numbers of each row, int32 [N, length]; shorter rows are padded in front."""
    kept = numbers[:, -length:]
    padded_behind = kept.to_tensor(default_value=PADDING, shape=[None, length])
    backwards = tf.reverse_sequence(padded_behind, kept.row_lengths(), seq_axis=1)
    return tf.reverse(backwards, axis=[1])


def first(numbers: Any, length: int) -> Any:
    """The first `length` numbers of each row, int32 [N, length]; shorter rows are padded behind."""
    return numbers[:, :length].to_tensor(default_value=PADDING, shape=[None, length])


def multi_hot(numbers: Any, size: int) -> Any:
    """Numbers int32 [N, any] to float32 [N, size]: 1 where a number occurs (book 3.4.2); order and counts are lost.

    Padding, and numbers that are no column, are passed over.
    """
    inside = tf.where(numbers > PADDING, numbers, size)
    return tf.math.bincount(inside, minlength=size, maxlength=size, binary_output=True, axis=-1, dtype=tf.float32)
