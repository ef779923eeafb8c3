"""Raw requests in the graph: UTF-8 prompts to positions in the alphabet, and back to UTF-8."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from plugins.nietzsche.model import Alphabet

LIKELIEST = 5  # characters whose chances are told


def read_prompts(prompt: Any, alphabet: Alphabet, width: int) -> tuple[Any, Any]:
    """The last `width` characters of each prompt, string [N]: int32 [N, width] and how many there are, int32 [N].

    The rows are right-aligned; what is before them is the number after the last character's. Lower-cased as the corpus
    is; characters outside the alphabet, and bytes that are not UTF-8, are read as spaces.
    """
    codes = tf.strings.unicode_decode(tf.strings.lower(prompt, encoding="utf-8"), "UTF-8")[:, -width:]
    ids = tf.ragged.map_flat_values(alphabet.ids, codes)
    aligned = ids[:, ::-1].to_tensor(len(alphabet.characters), shape=[None, width])[:, ::-1]
    return aligned, tf.cast(codes.row_lengths(), tf.int32)


def likelihoods(logits: Any, ids: Any, alphabet: Alphabet) -> dict[str, Any]:
    """What the network thought of characters int32 [N, longest], by its logits float32 [that many or 0, N, columns].

    `logprobs` [N, that many], in nats, and the likeliest: `top_characters` and `top_logprobs` [N, that many, 5].
    """
    chances = tf.nn.log_softmax(tf.transpose(logits, (1, 0, 2)))
    best, numbers = tf.math.top_k(chances, LIKELIEST)
    characters = tf.strings.unicode_encode(alphabet.codes[:, np.newaxis], "UTF-8")
    return {
        "logprobs": tf.gather(chances, ids[:, : tf.shape(chances)[1]], batch_dims=2),
        "top_characters": tf.gather(characters, tf.minimum(numbers, len(alphabet.codes) - 1)),
        "top_logprobs": best,
    }


def write_text(ids: Any, lengths: Any, alphabet: Alphabet) -> Any:
    """The first `lengths[n]` characters of each row of int32 [N, longest], as UTF-8 string [N]."""
    codes = tf.RaggedTensor.from_tensor(tf.gather(alphabet.codes, ids), lengths=lengths)
    return tf.strings.unicode_encode(codes, "UTF-8")
