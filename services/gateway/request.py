"""The one value that goes door -> admit -> route -> batch -> backend, and the one that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from services.core.refs import ModelRef
from services.core.tensors import Array
from services.gateway.routing_table import Servable

Columns = Mapping[str, Array]


class Tensors(NamedTuple):
    """What one signature is asked: one array an input."""

    signature: str
    columns: Columns


class Payload(Protocol):
    """What a door decoded. Names, shapes and types are checked when the router has said which version answers."""

    def tensors(self, servable: Servable) -> Tensors:
        """The arrays to send. Raises InvalidArgument with the model, the field, the rule and what was received."""
        ...


class Request(NamedTuple):
    """One question to one model. `deadline` is on the event loop's clock, in seconds; the payload of a `large` one is
    made tensors beside the event loop.
    """

    ref: ModelRef
    payload: Payload
    deadline: float
    large: bool = False


class Call(NamedTuple):
    """A request that has been routed: which version is asked what. `rows` is None where inputs differ in axis 0."""

    servable: Servable
    signature: str
    columns: Columns
    rows: int | None
    deadline: float


class Answer(NamedTuple):
    """What a version said: one array an output, with the rows of the request it answers."""

    servable: Servable
    signature: str
    columns: Columns


def call_of(servable: Servable, tensors: Tensors, deadline: float) -> Call:
    """Pack routed tensors; finds the number of rows."""
    sizes = {array.shape[0] if array.ndim else None for array in tensors.columns.values()}
    rows = sizes.pop() if len(sizes) == 1 else None
    return Call(servable, tensors.signature, tensors.columns, rows, deadline)
