"""Writing on, token by token, in one graph: the loop that all variants share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from plugins.contract import InputField
from plugins.nietzsche.memory import Memory, State
from plugins.nietzsche.sampling import gumbel, likely
from plugins.nietzsche.tokens import LINE, Characters, Words

LONGEST_CHUNK = 1024  # one call writes at most this many tokens a row
LIKELIEST = 5  # tokens whose chances are told
# The noise of a whole call is drawn at once where that is little; of thousands of words it would take gigabytes.
AT_ONCE = 256  # columns

Choose = Callable[[Any, Any], Any]  # logits [N, columns] and the token's number in the call, to what is highest
SAMPLER = (
    InputField(name="state_temperature", dtype="float32"),
    InputField(name="state_top_k", dtype="int32"),
    InputField(name="state_top_p", dtype="float32"),
    InputField(name="state_logprobs", dtype="bool"),
    InputField(name="state_seed", dtype="int64"),
    InputField(name="state_position", dtype="int64"),
)


class Writer:
    """The functions behind `start` and `continue`, with the weights that the memory has now."""

    def __init__(self, memory: Memory, vocabulary: Characters | Words) -> None:
        self.memory = memory
        self.vocabulary = vocabulary
        self.fields = (*memory.fields, *SAMPLER)

    def start(self, prompt: Any, steps: Any, *knobs: Any) -> Mapping[str, Any]:
        """Read each row's prompt (an empty one is a newline) and write `steps` tokens after it.

        The knobs are temperature, top_k, top_p, logprobs and seed.
        """
        prompt = tf.where(tf.equal(prompt, ""), LINE, prompt)
        ids, lengths, unknown = self.vocabulary.read(prompt, self.memory.width)
        memory = self.memory.in_graph()
        written = self._write(memory, steps, memory.begin(ids, lengths), (*knobs, tf.zeros_like(knobs[-1])))
        return {**written, "unknown": unknown, **self._counted("prompt_tokens", lengths)}

    def go_on(self, steps: Any, *states: Any) -> Mapping[str, Any]:
        """Write `steps` more tokens in each row from the states that the last call returned."""
        count = len(self.memory.fields)
        return self._write(self.memory.in_graph(), steps, states[:count], states[count:])

    def _write(self, memory: Memory, steps: Any, state: State, sampler: State) -> Mapping[str, Any]:
        """The loop of listing 8.7, for all rows at once: it runs to the largest count, each row stops at its own."""
        temperature, top_k, top_p, logprobs, seed, position = sampler
        steps = tf.clip_by_value(steps, 0, LONGEST_CHUNK)
        noise = _noise(memory.offsets, sampler, tf.reduce_max(tf.concat([[1], steps], axis=0)))

        def choose(logits: Any, number: Any) -> Any:
            return logits + noise(number)

        def choose_likely(logits: Any, number: Any) -> Any:
            allowed = likely(logits + memory.offsets, temperature, top_k, top_p)
            return tf.where(allowed, logits + noise(number), logits.dtype.min)

        # Sorting what may be drawn costs as much as the LSTM: only where a row asks for it.
        asked = tf.reduce_any((top_k > 0) | (top_p < 1) | logprobs)
        ids, told, *state = tf.cond(
            asked,
            lambda: self._loop(memory, state, steps, choose_likely, noting=True),
            lambda: self._loop(memory, state, steps, choose, noting=False),
        )
        states = (*state, temperature, top_k, top_p, logprobs, seed, position + tf.cast(steps, tf.int64))
        return {
            "text": self.vocabulary.text(ids, steps),
            "finished": tf.zeros_like(steps, tf.bool),
            **self._likelihoods(told, tf.reduce_any(logprobs)),
            **self._counted("token_lengths", self._sizes(ids, steps)),
            **{field.name: value for field, value in zip(self.fields, states, strict=True)},
        }

    def _likelihoods(self, told: tuple[Any, Any, Any], asked: Any) -> Mapping[str, Any]:
        """`logprobs` [N, that many], in nats, and the likeliest: `top_tokens` and `top_logprobs` [N, that many, 5].

        None where no row has asked.
        """
        logprobs, best, numbers = (column[:, : tf.where(asked, tf.shape(column)[1], 0)] for column in told)
        names = tf.gather(self.vocabulary.texts, tf.minimum(numbers, self.vocabulary.size - 1))
        return {"logprobs": logprobs, "top_tokens": names, "top_logprobs": best}

    def _sizes(self, ids: Any, steps: Any) -> Any:
        """Characters of each token, int32 [N, longest]; 0 after the last of a row."""
        return tf.gather(self.vocabulary.sizes, ids) * tf.sequence_mask(steps, tf.shape(ids)[1], tf.int32)

    def _counted(self, name: str, numbers: Any) -> Mapping[str, Any]:
        """An output of words only: who reads knows that a character is a character."""
        return {name: numbers} if isinstance(self.vocabulary, Words) else {}

    def _loop(self, memory: Memory, state: State, steps: Any, choose: Choose, *, noting: bool) -> tuple[Any, ...]:
        """The tokens int32 [N, longest]; if noted, the logarithm of the chance of each, and of the likeliest, which are
        told, too, [N, longest or 0, ...]; the state after `steps` of them."""
        longest = tf.reduce_max(tf.concat([[1], steps], axis=0))

        def write(number: Any, written: Any, noted: Any, *carried: Any) -> tuple[Any, ...]:
            seen, logits = memory.look(carried)
            ids = tf.argmax(choose(logits, number), axis=1, output_type=tf.int32)
            if noting:
                told = _chances(logits + memory.offsets, ids)
                noted = tuple(column.write(number, one) for column, one in zip(noted, told, strict=True))
            return number + 1, written.write(number, ids), noted, *memory.append(seen, carried, ids, number < steps)

        written = tf.TensorArray(tf.int32, longest, element_shape=[None])
        shapes = ((tf.float32, [None]), (tf.float32, [None, LIKELIEST]), (tf.int32, [None, LIKELIEST]))
        noted = tuple(tf.TensorArray(dtype, longest if noting else 0, element_shape=shape) for dtype, shape in shapes)
        _, written, noted, *carried = tf.while_loop(
            lambda number, *_: number < longest, write, (0, written, noted, *memory.enter(state, longest))
        )
        ids = tf.reshape(tf.transpose(written.stack()), [-1, longest])
        told = tuple(_told(column, tf.shape(ids)[0], noting) for column in noted)
        return ids, told, *memory.leave(tuple(carried))


def _noise(offsets: Any, sampler: State, longest: Any) -> Callable[[Any], Any]:
    """What is added to the logits of token `number` of this call, float32 [N, columns]."""
    temperature, *_, seed, position = sampler
    columns = offsets.shape[0]
    heat = tf.where(temperature > 0, temperature, 0.0)[:, tf.newaxis]
    if columns > AT_ONCE:
        return lambda number: offsets + heat * gumbel(seed, position + tf.cast(number, tf.int64), 1, columns)[0]
    chances = offsets + gumbel(seed, position, longest, columns) * heat
    return lambda number: chances[number]


def _chances(logits: Any, ids: Any) -> tuple[Any, Any, Any]:
    """log p of tokens int32 [N], and the likeliest [N, 5] with their numbers."""
    chances = tf.nn.log_softmax(logits)
    best, numbers = tf.math.top_k(chances, LIKELIEST)
    return tf.gather(chances, ids, batch_dims=1), best, numbers


def _told(column: Any, rows: Any, noting: bool) -> Any:
    """A TensorArray of [N, ...] as [N, how many, ...]."""
    if noting:
        return tf.einsum("ij...->ji...", column.stack())
    return tf.zeros([rows, 0, *column.element_shape[1:]], column.dtype)
