"""Writing on, character by character, in one graph: what each variant remembers, and the loop they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import tensorflow as tf

from plugins.contract import InputField
from plugins.nietzsche.cell import Cell
from plugins.nietzsche.raw import likelihoods, read_prompts, write_text
from plugins.nietzsche.sampling import gumbel, likely

# One call writes at most this many characters a row, and reads at most this many of a prompt's last characters.
LONGEST_CHUNK = 1024
LONGEST_PROMPT = 1024

State = tuple[Any, ...]
Choose = Callable[[Any, Any], Any]  # logits [N, columns] and the character's number in the call, to what is highest
SAMPLER = (
    InputField(name="state_temperature", dtype="float32"),
    InputField(name="state_top_k", dtype="int32"),
    InputField(name="state_top_p", dtype="float32"),
    InputField(name="state_logprobs", dtype="bool"),
    InputField(name="state_seed", dtype="int64"),
    InputField(name="state_position", dtype="int64"),
)


class Memory(Protocol):
    """What a row remembers of its text: one tensor for each of `fields`, as the signatures name them."""

    @property
    def fields(self) -> tuple[InputField, ...]:
        """Opaque to a client: it sends back what it got."""
        ...

    @property
    def width(self) -> int:
        """Characters of a prompt that are read."""
        ...

    def begin(self, cell: Cell, ids: Any, lengths: Any) -> State:
        """The memory after a prompt: int32 [N, width], of which the last `lengths[n]` are characters."""
        ...

    def look(self, cell: Cell, state: State) -> tuple[Any, Any]:
        """What `append` can use again, and the logits of the next character."""
        ...

    def append(self, cell: Cell, seen: Any, state: State, ids: Any) -> State:
        """The memory after one more character a row, int32 [N]."""
        ...


class Carried:
    """`stateful`: the LSTM's own state (h, c). A character costs one step, and the whole text is remembered."""

    width = LONGEST_PROMPT

    def __init__(self, units: int) -> None:
        self.fields = tuple(InputField(name=name, dtype="float32", shape=(units,)) for name in ("state_h", "state_c"))

    def begin(self, cell: Cell, ids: Any, lengths: Any) -> State:
        """Read the prompts side by side, from where the longest begins; a row joins where its own does."""
        first = self.width - tf.reduce_max(lengths)

        def read(column: Any, *state: Any) -> tuple[Any, ...]:
            after = self.append(cell, self.look(cell, state)[0], state, ids[:, column])
            return column + 1, *_where(column >= self.width - lengths, after, state)

        state = cell.empty(tf.shape(ids)[0])
        return tuple(tf.while_loop(lambda column, *_: column < self.width, read, (first, *state))[1:])

    def look(self, cell: Cell, state: State) -> tuple[Any, Any]:
        """One matrix product gives the logits and most of the next step."""
        return cell.look(state[0])

    def append(self, cell: Cell, seen: Any, state: State, ids: Any) -> State:
        """One LSTM step."""
        return cell.step(seen, state[1], ids)


class Window:
    """`windowed`: the last characters, all read again for each new one, as in the book's loop (listing 8.7)."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.fields = (InputField(name="state_window", dtype="int32", shape=(width,)),)

    def begin(self, cell: Cell, ids: Any, lengths: Any) -> State:
        """The prompt's last characters; before a shorter one come rows of zeros, as the listing would have it."""
        return (ids,)

    def look(self, cell: Cell, state: State) -> tuple[Any, Any]:
        """`width` LSTM steps from an empty state."""
        ids = tf.clip_by_value(state[0], 0, cell.characters.shape[0] - 1)

        def read(column: Any, h: Any, c: Any) -> tuple[Any, ...]:
            return column + 1, *cell.step(cell.look(h)[0], c, ids[:, column])

        empty = cell.empty(tf.shape(ids)[0])
        _, h, _ = tf.while_loop(lambda column, *_: column < self.width, read, (0, *empty))
        return (), cell.look(h)[1]

    def append(self, cell: Cell, seen: Any, state: State, ids: Any) -> State:
        """The window slides by one."""
        return (tf.concat([state[0][:, 1:], ids[:, tf.newaxis]], axis=1),)


def _where(rows: Any, new: State, old: State) -> State:
    return tuple(tf.where(rows[:, tf.newaxis], after, before) for after, before in zip(new, old, strict=True))


class Writer:
    """The functions behind `start` and `continue`, with the weights that the model has now."""

    def __init__(self, model: keras.Model, memory: Memory) -> None:
        self.cell = Cell.of(model)
        self.memory = memory
        self.alphabet = model.get_layer("alphabet")
        self.fields = (*memory.fields, *SAMPLER)

    def start(self, prompt: Any, steps: Any, *knobs: Any) -> Mapping[str, Any]:
        """Read each row's prompt (an empty one is a newline) and write `steps` characters after it.

        The knobs are temperature, top_k, top_p, logprobs and seed.
        """
        prompt = tf.where(tf.equal(prompt, ""), "\n", prompt)
        cell = self.cell.as_constants()
        state = self.memory.begin(cell, *read_prompts(prompt, self.alphabet, self.memory.width))
        return self._write(cell, steps, state, (*knobs, tf.zeros_like(knobs[-1])))

    def go_on(self, steps: Any, *states: Any) -> Mapping[str, Any]:
        """Write `steps` more characters in each row from the states that the last call returned."""
        count = len(self.memory.fields)
        return self._write(self.cell.as_constants(), steps, states[:count], states[count:])

    def _write(self, cell: Cell, steps: Any, state: State, sampler: State) -> Mapping[str, Any]:
        """The loop of listing 8.7, for all rows at once: it runs to the largest count, each row stops at its own."""
        temperature, top_k, top_p, logprobs, seed, position = sampler
        steps = tf.clip_by_value(steps, 0, LONGEST_CHUNK)
        longest = tf.reduce_max(tf.concat([[1], steps], axis=0))
        noise = gumbel(seed, position, longest, cell.offsets.shape[0])
        chances = cell.offsets + noise * tf.where(temperature > 0, temperature, 0.0)[:, tf.newaxis]

        def choose(logits: Any, number: Any) -> Any:
            return logits + chances[number]

        def choose_likely(logits: Any, number: Any) -> Any:
            allowed = likely(logits + cell.offsets, temperature, top_k, top_p)
            return tf.where(allowed, logits + chances[number], logits.dtype.min)

        # Sorting what may be drawn costs as much as the LSTM: only where a row asks for it.
        asked = tf.reduce_any((top_k > 0) | (top_p < 1) | logprobs)
        ids, logits, *state = tf.cond(
            asked,
            lambda: self._loop(cell, state, steps, choose_likely, noting=True),
            lambda: self._loop(cell, state, steps, choose, noting=False),
        )
        states = (*state, temperature, top_k, top_p, logprobs, seed, position + tf.cast(steps, tf.int64))
        told = logits[: tf.where(tf.reduce_any(logprobs), longest, 0)] + cell.offsets
        return {
            "text": write_text(ids, steps, self.alphabet),
            "finished": tf.zeros_like(steps, tf.bool),
            **likelihoods(told, ids, self.alphabet),
            **{field.name: value for field, value in zip(self.fields, states, strict=True)},
        }

    def _loop(self, cell: Cell, state: State, steps: Any, choose: Choose, *, noting: bool) -> tuple[Any, ...]:
        """The characters int32 [N, longest]; if noted, the logits they were chosen by, [longest or 0, N, columns]; the
        state after `steps` of them."""
        longest = tf.reduce_max(tf.concat([[1], steps], axis=0))
        columns = cell.offsets.shape[0]

        def write(number: Any, written: Any, noted: Any, *state: Any) -> tuple[Any, ...]:
            seen, logits = self.memory.look(cell, state)
            ids = tf.argmax(choose(logits, number), axis=1, output_type=tf.int32)
            after = self.memory.append(cell, seen, state, ids)
            noted = noted.write(number, logits) if noting else noted
            return number + 1, written.write(number, ids), noted, *_where(number < steps, after, state)

        written = tf.TensorArray(tf.int32, longest, element_shape=[None])
        noted = tf.TensorArray(tf.float32, longest if noting else 0, element_shape=[None, columns])
        _, written, noted, *state = tf.while_loop(
            lambda number, *_: number < longest, write, (0, written, noted, *state)
        )
        ids = tf.reshape(tf.transpose(written.stack()), [-1, longest])
        logits = noted.stack() if noting else tf.zeros((0, tf.shape(ids)[0], columns))
        return ids, logits, *state
