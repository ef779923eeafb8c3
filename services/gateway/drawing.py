"""Draws pictures: in one call, or slice by slice where the model can.

A slice is short, so a picture that takes a minute never makes one of a second wait for it; between two of them a client
who went away is noticed, and what is there so far can be shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

import numpy as np

from services.core.card import Card, Task
from services.core.errors import DeadlineExceeded
from services.gateway.pace import Pace
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Payload, Request, Tensors
from services.gateway.routing_table import Servable
from services.gateway.slices import CONTINUE, START, go_on

_GENERATE = "generate"
_WORK = "work"  # an input of both: how much to do in this call, in whatever the model counts
_PROGRESS = "progress"  # an output of both, from 0 to 1
_PACE = Pace(least=1, most=256, short=0.1, long=0.4)
_WAY_BACK = 0.1  # of the time left, at most so many seconds: a gRPC client hangs up when its own is over


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn so far; `partial`: the time was up before `progress` was 1."""

    answer: Answer
    progress: float = 1.0
    partial: bool = False


@dataclass(frozen=True, slots=True)
class _Begin:
    """What is asked of `generate`, asked of `start` where a version has slices: it takes the same, and how much."""

    payload: Payload

    def tensors(self, servable: Servable) -> Tensors:
        asked = self.payload.tensors(servable)
        if asked.signature != _GENERATE or not _has_slices(servable.card):
            return asked
        return Tensors(START, {**asked.columns, _WORK: _count(_PACE.least)})


async def draw(plane: DataPlane, request: Request, *, partial_ok: bool = False) -> AsyncGenerator[Drawing, None]:
    """Yield the one picture that is asked for as it grows, last the whole one.

    Stop iterating to stop the model. Raises as DataPlane.predict, also between slices; but if `partial_ok`, and there
    is a picture when the time is up, that is the last one.
    """
    clock = asyncio.get_running_loop().time
    asked, work = clock(), _PACE.least
    until = request.deadline - (min(_WAY_BACK, _WAY_BACK * (request.deadline - asked)) if partial_ok else 0)
    with plane.metrics.making(Task.GENERATE_IMAGE):
        answer = await plane.predict(request._replace(payload=_Begin(request.payload)))
        while (drawing := _seen(plane, answer, work)).progress < 1:
            work = _PACE.after(work, clock() - asked)
            yield drawing
            asked = clock()
            try:
                answer = await go_on(plane, request.ref, answer, {_WORK: _count(work)}, until)
            except DeadlineExceeded:
                if not partial_ok:
                    raise
                yield replace(drawing, partial=True)
                return
        yield drawing


async def drawn(drawings: AsyncGenerator[Drawing, None]) -> Drawing:
    """The last of them."""
    async for drawing in drawings:
        last = drawing
    return last


def _seen(plane: DataPlane, answer: Answer, work: int) -> Drawing:
    """What an answer shows, counted; one that is no slice is whole."""
    if answer.signature in (START, CONTINUE):
        plane.metrics.drew(answer.servable.name, work)
        return Drawing(answer, float(answer.columns[_PROGRESS][0]))
    return Drawing(answer)


def _has_slices(card: Card) -> bool:
    return {START, CONTINUE} <= card.signatures_for(Task.GENERATE_IMAGE).keys()


def _count(work: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array([work], np.int32)
