"""Writes text chunk by chunk: one `start`, then `continue` with the state the model gave back, until length or end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.core.card import Task
from services.core.errors import InvalidArgument, received
from services.core.refs import ModelRef
from services.gateway.instances import Instances
from services.gateway.pace import Pace
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Request
from services.gateway.routing_table import Servable
from services.gateway.slices import START, go_on
from services.gateway.stops import Stops, stops_of
from services.gateway.tokens import LOGPROBS, Token, Tokens

DEFAULT_LENGTH = 400
MOST_LENGTH = MOST_PROMPT = 100_000
MOST_TEXTS = 16
_STEPS, _PROMPT, _SEED = "steps", "prompt", "seed"
_UNKNOWN, _PROMPT_TOKENS = "unknown", "prompt_tokens"  # outputs of `start`, if the model has them
# The first words come soon, later ones cheaply: a call costs some 3 ms beside what it writes. It stays short all the
# same, for its rows leave together, and a reader who goes away is noticed between calls.
_FIRST_CHUNK, _UNREAD_CHUNK = 8, 64
PACE = Pace(least=_FIRST_CHUNK, most=256, short=0.02, long=0.08)
_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Prompt:
    """What to write on: `length` in the model's tokens, characters or words; knobs as the card lists them.

    The text ends before the first of the strings `stop`. Of `alternatives` texts number i, from 0, has the seed + i.
    `read_along`: somebody waits for the first characters, not only for the whole.
    """

    text: str
    length: int
    knobs: Mapping[str, Any]
    stop: Sequence[str] = ()
    alternatives: int = 1
    read_along: bool = True


@dataclass(frozen=True)
class Chunk:
    """Newly written text, of text number `index`; `finish_reason` is "" while writing, then "length" or "stop".

    The first of a text tells what the model said of the prompt: how many tokens it has, where these are not its
    characters, and which of it the model does not know.
    """

    servable: Servable
    text: str
    finish_reason: str
    index: int = 0
    written: int = 0  # tokens that begin in the text
    tokens: Sequence[Token] = ()  # these, where the request asks how likely they were
    prompt_tokens: int | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one call wrote."""

    answer: Answer
    text: str
    finish_reason: str


async def write_text(
    plane: DataPlane, ref: ModelRef, prompts: Sequence[Prompt], deadline: float
) -> AsyncGenerator[Chunk, None]:
    """Yield chunks of every alternative of every prompt until done, the texts counted in that order.

    Stop iterating to stop the model. Raises as DataPlane.predict, also between chunks.
    """
    for prompt in prompts:
        _check(prompt)
    count = sum(prompt.alternatives for prompt in prompts)
    if not 1 <= count <= MOST_TEXTS:
        raise InvalidArgument(f"A request has at least one prompt, at most {MOST_TEXTS} texts. Received: {count}")
    texts = [text for prompt in prompts for text in _alternatives(prompt)]
    streams = [_until_stop(plane, ref, text, deadline) for text in texts]
    try:
        async with aclosing(_side_by_side(streams)) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        for stream in streams:
            await stream.aclose()


def _alternatives(prompt: Prompt) -> Sequence[Prompt]:
    """The same prompt with seeds that follow each other; a seed that is no whole number is refused by the card."""
    seed, last = prompt.knobs.get(_SEED, 0), prompt.alternatives - 1
    whole = not isinstance(seed, bool) and (isinstance(seed, int) or (isinstance(seed, float) and seed.is_integer()))
    if not last or not whole:
        return [prompt]
    if int(seed) > _LARGEST_SEED - last:
        raise InvalidArgument(f"The last of {last + 1} texts has a seed below 2^63. Received: {seed} for the first")
    seeds = range(int(seed), int(seed) + last + 1)  # whole before counting on: a float would not count beyond 2^53
    return [replace(prompt, knobs={**prompt.knobs, _SEED: each}) for each in seeds]


async def _side_by_side(streams: Sequence[AsyncGenerator[Chunk, None]]) -> AsyncGenerator[Chunk, None]:
    """All of them, chunk by chunk together, so that they share each call of the model."""
    if len(streams) == 1:
        async for chunk in streams[0]:
            yield chunk
        return
    writing = dict(enumerate(streams))
    while writing:
        # All have come to rest before the first error goes on: a generator that runs cannot be closed.
        asked = (anext(stream, None) for stream in writing.values())
        chunks = await asyncio.gather(*asked, return_exceptions=True)
        for index, came in zip(list(writing), chunks, strict=True):
            if isinstance(came, BaseException):
                raise came
            if came is None:
                del writing[index]
            else:
                yield replace(came, index=index)


async def _until_stop(plane: DataPlane, ref: ModelRef, prompt: Prompt, deadline: float) -> AsyncGenerator[Chunk, None]:
    """One text, up to the first of its stop strings."""
    stops, tokens = Stops(stops_of(prompt.stop)), Tokens()
    said: Mapping[str, Any] | None = None
    async with aclosing(_written(plane, ref, prompt, deadline)) as pieces:
        async for piece in pieces:
            said = _of_prompt(piece.answer) if said is None else said
            tokens.read(piece.answer, piece.text, likely=bool(prompt.knobs.get(LOGPROBS)))
            text, stopped = stops.read(piece.text)
            reason = "stop" if stopped else piece.finish_reason
            if reason and not stopped:
                text += stops.rest()
            if text or reason:
                count, told = tokens.tell(text)
                yield Chunk(piece.answer.servable, text, reason, written=count, tokens=told, **said)
                said = {}
            if stopped:
                return


async def _written(plane: DataPlane, ref: ModelRef, prompt: Prompt, deadline: float) -> AsyncGenerator[_Piece, None]:
    """One text as the model writes it."""
    clock = asyncio.get_running_loop().time
    steps = min(_FIRST_CHUNK if prompt.read_along else _UNREAD_CHUNK, prompt.length)
    row = {**prompt.knobs, _PROMPT: prompt.text, _STEPS: steps}
    asked = clock()
    with plane.metrics.making(Task.GENERATE_TEXT):
        answer = await plane.predict(Request(ref, Instances(Task.GENERATE_TEXT, [row], START), deadline))
        written, model = steps, answer.servable.name
        if prompt.read_along:
            plane.metrics.first_text(model, clock() - asked)
        while True:
            finished = bool(answer.columns["finished"][0])
            reason = "stop" if finished else "length" if written >= prompt.length else ""
            took = clock() - asked
            text = answer.columns["text"][0].decode(errors="replace")
            plane.metrics.wrote(model, len(text))
            yield _Piece(answer, text, reason)
            if reason:
                return
            steps = min(PACE.after(steps, took), prompt.length - written)
            asked = clock()
            answer = await go_on(plane, ref, answer, {_STEPS: np.array([steps], np.int32)}, deadline)
            written += steps


def _of_prompt(answer: Answer) -> Mapping[str, Any]:
    """What the first answer says, if the model says it."""
    said: dict[str, Any] = {}
    if _UNKNOWN in answer.columns:
        said["unknown"] = answer.columns[_UNKNOWN][0].decode(errors="replace")
    if _PROMPT_TOKENS in answer.columns:
        said["prompt_tokens"] = int(answer.columns[_PROMPT_TOKENS][0])
    return said


def _check(prompt: Prompt) -> None:
    if not 1 <= prompt.length <= MOST_LENGTH:
        raise InvalidArgument(f"length is 1 to {MOST_LENGTH} tokens. Received: {prompt.length}")
    if len(prompt.text) > MOST_PROMPT:
        raise InvalidArgument(f"A prompt has at most {MOST_PROMPT} characters. Received: {len(prompt.text)}")
    if not 1 <= prompt.alternatives <= MOST_TEXTS:
        raise InvalidArgument(f"n is 1 to {MOST_TEXTS} texts. Received: {prompt.alternatives}")
    for name in (_STEPS, _PROMPT):
        if name in prompt.knobs:
            raise InvalidArgument(
                f"{name} is no knob; say how many tokens to write as `length`. Received: {received(prompt.knobs[name])}"
            )
