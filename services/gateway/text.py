"""Writes text chunk by chunk: one `start`, then `continue` with the state the model gave back, until length or end.

The state travels in the requests, so the model server keeps nothing, and rows of different streams share calls: they
meet in the same lane of the batcher.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.core.card import Task
from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.refs import ModelRef
from services.gateway.columns import received
from services.gateway.instances import Instances
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Columns, Request, Tensors
from services.gateway.routing_table import Servable

DEFAULT_LENGTH = 400
MOST_LENGTH = 100_000
_START, _CONTINUE = "start", "continue"
_STEPS, _PROMPT, _STATE = "steps", "prompt", "state_"
# The first words come soon, later ones cheaply: a call of 64 characters costs little more than one of 8.
_FIRST_CHUNK, _LAST_CHUNK = 8, 64


@dataclass(frozen=True)
class Prompt:
    """What to write on: `length` in characters; knobs as the card lists them (temperature, seed)."""

    text: str
    length: int
    knobs: Mapping[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Newly written text; `finish_reason` is "" while writing, then "length" or "stop"."""

    servable: Servable
    text: str
    finish_reason: str


@dataclass(frozen=True, slots=True)
class _Continue:
    """The payload of every call but the first."""

    columns: Columns

    def tensors(self, servable: Servable) -> Tensors:
        if _CONTINUE not in servable.card.signatures:
            raise FailedPrecondition(f"Model {servable.name} writes text with a signature {_CONTINUE!r}. It has none")
        return Tensors(_CONTINUE, self.columns)


async def write_text(plane: DataPlane, ref: ModelRef, prompt: Prompt, deadline: float) -> AsyncGenerator[Chunk, None]:
    """Yield chunks until done. Stop iterating to stop the model. Raises as DataPlane.predict, also between chunks."""
    _check(prompt)
    steps = min(_FIRST_CHUNK, prompt.length)
    row = {**prompt.knobs, _PROMPT: prompt.text, _STEPS: steps}
    answer = await plane.predict(Request(ref, Instances(Task.GENERATE_TEXT, [row], _START), deadline))
    here = replace(ref, version=answer.servable.version, label=None)  # the state belongs to this version
    written = steps
    while True:
        finished = bool(answer.columns["finished"][0])
        reason = "stop" if finished else "length" if written >= prompt.length else ""
        yield Chunk(answer.servable, answer.columns["text"][0].decode(errors="replace"), reason)
        if reason:
            return
        steps = min(2 * steps, _LAST_CHUNK, prompt.length - written)
        answer = await plane.predict(Request(here, _Continue(_state(answer, steps)), deadline))
        written += steps


def _state(answer: Answer, steps: int) -> Columns:
    state = {name: array for name, array in answer.columns.items() if name.startswith(_STATE)}
    return {_STEPS: np.array([steps], np.int32), **state}


def _check(prompt: Prompt) -> None:
    if not 1 <= prompt.length <= MOST_LENGTH:
        raise InvalidArgument(f"length is 1 to {MOST_LENGTH} characters. Received: {prompt.length}")
    for name in (_STEPS, _PROMPT):
        if name in prompt.knobs:
            raise InvalidArgument(
                f"{name} is no knob; say the length in characters as `length`. Received: {received(prompt.knobs[name])}"
            )
