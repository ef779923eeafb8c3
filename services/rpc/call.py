"""What a server's methods know of a call, and what kinds of methods there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Metadata = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class Call:
    """`metadata` are the request's headers, names in lower case; `deadline` is on the event loop's clock, None: none
    was stated. A method may set `trailing`, which goes with its status, whatever that is.
    """

    path: str
    metadata: Metadata
    deadline: float | None
    trailing: Sequence[tuple[str, str]] = field(default=())


class Unary(Protocol):
    """One message in, one out. What it raises as `Status` is the call's."""

    def __call__(self, message: bytes, call: Call, /) -> Awaitable[bytes]: ...


class Streaming(Protocol):
    """One message in, many out."""

    def __call__(self, message: bytes, call: Call, /) -> AsyncIterator[bytes]: ...


class Talking(Protocol):
    """Many in, many out."""

    def __call__(self, messages: AsyncIterator[bytes], call: Call, /) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True)
class Method:
    """One of the three."""

    unary: Unary | None = None
    streaming: Streaming | None = None
    talking: Talking | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a server answers by: its methods by path and the most bytes of a message.

    `admit` is asked before a message is read, in the method's context; it raises Status for who may not call.
    """

    methods: Mapping[str, Method]
    admit: Callable[[Call], None]
    most_bytes: int
    unknown: str = "No method of this server has that path."  # what is said of such a path
