"""From raw text to the numbers that the networks read, in the graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import layers

from plugins.question_answering.data import SENTENCES, WORDS
from plugins.texts import beginning, ending, first, words_of


def read_questions(words: layers.StringLookup, questions: Any) -> Any:
    """Strings [N] to int32 [N, 8]: the first 8 words, 0 for an unknown one."""
    return first(_numbers(words, beginning(questions)), WORDS)


def read_stories(words: layers.StringLookup, stories: Any) -> Any:
    """Strings [N] to int32 [N, 10, 8]: the last 10 sentences that have a word in them, of each the first 8 words.

    A sentence ends with a full stop, a question or exclamation mark, or a line break. Short stories are padded in
    front.
    """
    sentences = tf.strings.split(tf.strings.regex_replace(ending(stories), r"[.!?\n]+", "\n"), "\n")
    numbers = _numbers(words, sentences.flat_values)
    told = sentences.with_flat_values(numbers.row_lengths() > 0)
    kept = tf.ragged.boolean_mask(sentences.with_flat_values(first(numbers, WORDS)), told)[:, -SENTENCES:]
    padded_behind = kept.to_tensor(shape=[None, SENTENCES, WORDS])
    backwards = tf.reverse_sequence(padded_behind, kept.row_lengths(), seq_axis=1)
    return tf.reverse(backwards, axis=[1])


def _numbers(words: layers.StringLookup, texts: Any) -> Any:
    return tf.cast(words(words_of(texts)), tf.int32)
