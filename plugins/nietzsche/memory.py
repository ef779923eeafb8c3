"""What a row remembers of its text, by variant."""

from __future__ import annotations

from typing import Any, Protocol, Self

import tensorflow as tf

from plugins.contract import InputField
from plugins.nietzsche.cell import Cell

LONGEST_PROMPT = 1024  # tokens of a prompt that are read: its last

State = tuple[Any, ...]


class Memory(Protocol):
    """The network, laid out, and what it needs to go on: one tensor for each of `fields`, as the signatures name them.

    `enter` and `leave` stand around a loop of `look` and `append`, which may carry something else along.
    """

    @property
    def fields(self) -> tuple[InputField, ...]:
        """Opaque to a client: it sends back what it got."""
        ...

    @property
    def width(self) -> int:
        """Tokens of a prompt that are read."""
        ...

    @property
    def offsets(self) -> Any:
        """float32 [columns], to be added to the logits."""
        ...

    def in_graph(self) -> Self:
        """The same, its weights constants of the graph that is being traced."""
        ...

    def begin(self, ids: Any, lengths: Any) -> State:
        """The memory after a prompt: int32 [N, width], of which the last `lengths[n]` are tokens."""
        ...

    def enter(self, state: State, longest: Any) -> State:
        """What the loop carries, for `longest` tokens at most."""
        ...

    def look(self, carried: State) -> tuple[Any, Any]:
        """What `append` can use again, and the logits of the next token."""
        ...

    def append(self, seen: Any, carried: State, ids: Any, going: Any) -> State:
        """After one more token a row, int32 [N], in the rows that are `going`, bool [N]."""
        ...

    def leave(self, carried: State) -> State:
        """The memory after the loop."""
        ...


class _Whole:
    """The loop carries just what is remembered."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @property
    def offsets(self) -> Any:
        """The cell's."""
        return self.cell.offsets

    def enter(self, state: State, longest: Any) -> State:
        """As it is."""
        return state

    def leave(self, carried: State) -> State:
        """As it is."""
        return carried


class Carried(_Whole):
    """The network's own state. A token costs one step, and the whole text is remembered."""

    width = LONGEST_PROMPT

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.fields = tuple(
            InputField(name=f"state_{name}", dtype="float32", shape=(cell.units,)) for name in cell.names
        )

    def in_graph(self) -> Self:
        """With the cell as constants."""
        return type(self)(self.cell.in_graph())

    def begin(self, ids: Any, lengths: Any) -> State:
        """Read the prompts side by side, from where the longest begins; a row joins where its own does."""
        first = self.width - tf.reduce_max(lengths)

        def read(column: Any, *state: Any) -> tuple[Any, ...]:
            after = self.append(self.look(state)[0], state, ids[:, column], column >= self.width - lengths)
            return column + 1, *after

        state = self.cell.empty(tf.shape(ids)[0])
        return tuple(tf.while_loop(lambda column, *_: column < self.width, read, (first, *state))[1:])

    def look(self, carried: State) -> tuple[Any, Any]:
        """One matrix product gives the logits and most of the next step."""
        return self.cell.look(carried)

    def append(self, seen: Any, carried: State, ids: Any, going: Any) -> State:
        """One step."""
        after = self.cell.step(seen, carried, ids)
        return tuple(tf.where(going[:, tf.newaxis], new, old) for new, old in zip(after, carried, strict=True))


class Window(_Whole):
    """The last tokens, all read again for each new one, as in the book's loop (listing 8.7)."""

    def __init__(self, cell: Cell, width: int) -> None:
        super().__init__(cell)
        self.width = width
        self.fields = (window_field(width),)

    def in_graph(self) -> Self:
        """With the cell as constants."""
        return type(self)(self.cell.in_graph(), self.width)

    def begin(self, ids: Any, lengths: Any) -> State:
        """The prompt's last tokens; before a shorter one come rows of zeros, as the listing would have it."""
        return (ids,)

    def look(self, carried: State) -> tuple[Any, Any]:
        """`width` steps from an empty state."""
        ids = tf.clip_by_value(carried[0], 0, self.cell.reads.shape[0] - 1)

        def read(column: Any, *state: Any) -> tuple[Any, ...]:
            return column + 1, *self.cell.step(self.cell.look(state)[0], state, ids[:, column])

        empty = self.cell.empty(tf.shape(ids)[0])
        state = tf.while_loop(lambda column, *_: column < self.width, read, (0, *empty))[1:]
        return (), self.cell.look(state)[1]

    def append(self, seen: Any, carried: State, ids: Any, going: Any) -> State:
        """The window slides by one."""
        return (slid(carried[0], ids, going),)


def window_field(width: int) -> InputField:
    """The numbers of the last `width` tokens."""
    return InputField(name="state_window", dtype="int32", shape=(width,))


def slid(window: Any, ids: Any, going: Any) -> Any:
    """int32 [N, width] with one more token at its end, in the rows that are going."""
    return tf.where(going[:, tf.newaxis], tf.concat([window[:, 1:], ids[:, tf.newaxis]], axis=1), window)
