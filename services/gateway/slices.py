"""What is made piece by piece: a text, or a picture that takes long.

A model that can has two signatures, `start` and `continue`. Its state (`state_*`) travels in the requests, so the model
server keeps nothing, and pieces of different requests share calls: they meet in the same lane of the batcher.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.core.errors import FailedPrecondition, NotFound, Unavailable
from services.core.refs import ModelRef
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Columns, Request, Tensors
from services.gateway.routing_table import Servable

START, CONTINUE = "start", "continue"
_STATE = "state_"


@dataclass(frozen=True, slots=True)
class _Continue:
    """The payload of every call but the first."""

    columns: Columns

    def tensors(self, servable: Servable) -> Tensors:
        """As they are: they are the model's own."""
        if CONTINUE not in servable.card.signatures:
            raise FailedPrecondition(f"Model {servable.name} goes on with a signature {CONTINUE!r}. It has none")
        return Tensors(CONTINUE, self.columns)


async def go_on(plane: DataPlane, ref: ModelRef, answer: Answer, columns: Columns, deadline: float) -> Answer:
    """The next piece after `answer`, by the version that gave it, whose state it is. Raises as DataPlane.predict.

    A roll-out may unload that version in between. Who asked for it by number is told so; to others it is Unavailable.
    """
    servable = answer.servable
    here = replace(ref, version=servable.version, label=None)
    state = {name: array for name, array in answer.columns.items() if name.startswith(_STATE)}
    try:
        return await plane.predict(Request(here, _Continue({**columns, **state}), deadline))
    except NotFound:
        if ref.version is not None:
            raise
        raise Unavailable(
            f"Version {servable.version} of {servable.name}, which began this, is not served any more: ask again"
        ) from None
