"""One connection to a server: unary calls out, answers in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from services.core.errors import Code
from services.rpc import frames
from services.rpc.call import Metadata
from services.rpc.connection import WINDOW, Connection
from services.rpc.frames import Reason
from services.rpc.headers import AUTHORITY, HTTP, PATH, POST, Blocks, Headers, literal
from services.rpc.messages import PREFIX_BYTES, Status, prefix_of, prefixed, timeout_text, unquoted
from services.rpc.outgoing import Stream

# Whoever says nothing while calls wait is asked whether he is there, and given up when he does not answer in as long.
_PING_SECONDS = 6.0
_MOST_PINGS = 2  # without data in between: gRPC's servers hang up on more (their grpc.http2.max_ping_strikes)
_MOST_STREAMS = 2**30  # of one connection; then another one is made
_AGENT = b"tensorgate"

# grpc/doc/PROTOCOL-HTTP2.md, "Errors"; others are INTERNAL.
_CODES: Mapping[int, Code] = MappingProxyType(
    {
        Reason.REFUSED_STREAM: Code.UNAVAILABLE,
        Reason.CANCEL: Code.CANCELLED,
        Reason.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
        Reason.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
    }
)
# grpc/doc/http-grpc-status-mapping.md; others are UNKNOWN.
_HTTP_CODES: Mapping[bytes, Code] = MappingProxyType(
    {
        b"400": Code.INTERNAL,
        b"401": Code.UNAUTHENTICATED,
        b"403": Code.PERMISSION_DENIED,
        b"404": Code.UNIMPLEMENTED,
        **dict.fromkeys((b"429", b"502", b"503", b"504"), Code.UNAVAILABLE),
    }
)


class NotProcessed(Exception):
    """The server says that it has not begun the call: another connection may have it."""


@dataclass(frozen=True, slots=True)
class _Head:
    """Of an answer, or what follows it: what its headers say."""

    http_status: bytes
    status: bytes | None
    text: bytes

    def failure(self) -> Status | None:
        """What a call ends with, made anew, as it is raised; None: well, or not yet."""
        if self.http_status not in (b"200", b""):
            said = self.http_status.decode(errors="replace")
            return Status(_HTTP_CODES.get(self.http_status, Code.UNKNOWN), f"The server answered HTTP {said}")
        if self.status in (None, b"0"):
            return None
        known = self.status.isdigit() and len(self.status) < 3 and int(self.status) in _NUMBERS
        return Status(Code(int(self.status)) if known else Code.UNKNOWN, unquoted(self.text))


_NUMBERS = frozenset(code.value for code in Code)


def _head_of(headers: Headers) -> _Head:
    said = dict(headers)
    return _Head(said.get(b":status", b""), said.get(b"grpc-status"), said.get(b"grpc-message", b""))


class _Call(Stream):
    """A stream and what comes of it."""

    __slots__ = ("answer", "body")

    def __init__(self, number: int, window: int, answer: asyncio.Future[bytes]) -> None:
        super().__init__(number, window)
        self.answer = answer
        self.body = bytearray()

    def fail(self, error: Exception) -> None:
        """If nothing else has come of it."""
        if not self.answer.done():
            self.answer.set_exception(error)


class ClientConnection(Connection[_Call]):
    """One connection to a server."""

    def __init__(self, authority: str) -> None:
        super().__init__()
        self._authority = literal(AUTHORITY, authority.encode())
        self._heads: dict[str, bytes] = {}
        self._blocks = Blocks(_head_of)
        self._pings = 0  # since data came
        self._unanswered = False
        self._looking: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        super().connection_made(transport)
        self.begin({frames.ENABLE_PUSH: 0}, frames.PREFACE)

    @property
    def usable(self) -> bool:
        """For one more call."""
        return not self.leaving and not self.transport.is_closing()

    def connection_lost(self, error: Exception | None) -> None:
        """All calls fail."""
        if self._looking is not None:
            self._looking.cancel()
        self._fail_all(f"The connection was lost: {error}" if error else "The connection was closed")

    async def call(self, path: str, message: bytes, until: float, *, metadata: Metadata) -> bytes:
        """The answer's message. Raises Status, or NotProcessed."""
        left = until - self._loop.time()
        call = self._begun(path, message, left, metadata=metadata)
        timer = self._loop.call_later(max(left, 0), call.fail, Status(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        try:
            return await call.answer
        finally:
            timer.cancel()
            if self.streams.pop(call.number, None) is not None:
                self._give_up(call)
            self.close_if_left()

    def _begun(self, path: str, message: bytes, left: float, *, metadata: Metadata) -> _Call:
        self.last = number = self.last + 2 if self.last else 1
        if number > _MOST_STREAMS:
            self.leaving = True
        call = self.streams[number] = _Call(number, WINDOW, self._loop.create_future())
        self.out.begin(call)
        block = self._head(path) + literal(b"grpc-timeout", timeout_text(left))
        for name, value in metadata:
            block += literal(name, value)
        head = frames.frame(frames.HEADERS, frames.END_HEADERS, number, block)
        self.out.message(call, prefixed(message), before=head, end=True)
        if self._looking is None:
            self.heard = False
            self._looking = self._loop.call_later(_PING_SECONDS, self._look)
        return call

    def _head(self, path: str) -> bytes:
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = b"".join(
                (
                    *(POST, HTTP, literal(PATH, path.encode()), self._authority),
                    literal(b"te", b"trailers"),
                    literal(b"content-type", b"application/grpc"),
                    literal(b"user-agent", _AGENT),
                )
            )
        return head

    def on_headers(self, number: int, block: bytes, *, end: bool) -> None:
        """The answer's head, or its end."""
        head = self._blocks.of(block)
        call = self._stream(number, "HEADERS")
        if call is None:
            return
        self._pings = 0
        if (failure := head.failure()) is not None:
            self._finish(call, failure)
        elif end:
            self._finish(call, None if head.status else Status(Code.INTERNAL, "The answer ended without a status"))

    def on_data(self, stream: _Call, data: bytes, *, end: bool) -> None:
        """Some of the answer's message."""
        self._pings = 0
        stream.body += data
        if end:
            self._finish(stream, Status(Code.INTERNAL, "The answer ended without a status"))
        else:
            self.accept_more(stream)

    def _finish(self, call: _Call, failure: Status | None) -> None:
        del self.streams[call.number]
        if call.unsent:  # the server does not want it any more
            self._give_up(call)
        self.out.forget(call.number)
        if failure is not None:
            call.fail(failure)
        elif not call.answer.done():
            try:
                call.answer.set_result(_message(call.body))
            except Status as error:
                call.answer.set_exception(error)

    def _give_up(self, call: _Call) -> None:
        self.out.forget(call.number)
        self.out.frames(frames.reset(call.number, Reason.CANCEL))

    def on_reset(self, stream: _Call, reason: int) -> None:
        """The server gave the call up."""
        if reason == Reason.REFUSED_STREAM:
            stream.fail(NotProcessed("The server refused the call"))
        else:
            stream.fail(Status(_CODES.get(reason, Code.INTERNAL), f"The server reset the call: {reason}"))

    def on_goaway(self, last: int, reason: int, text: str) -> None:
        """The server leaves; it answers what it has begun."""
        self.leaving = True
        for number in [number for number in self.streams if number > last]:
            self.out.forget(number)
            self.streams.pop(number).fail(NotProcessed(text))
        self.close_if_left()

    def on_pong(self) -> None:
        """The server is there."""
        self._unanswered = False

    def _look(self) -> None:
        """While calls wait: has the server said anything?"""
        self._looking = None
        if not self.streams:
            return
        if self.heard:
            self._unanswered = False
        elif self._unanswered:
            self._fail_all("The server does not answer pings")
            self.transport.abort()
            return
        elif self._pings < _MOST_PINGS:
            self._pings += 1
            self._unanswered = True
            self.out.frames(frames.frame(frames.PING, 0, 0, bytes(8)))
        self.heard = False
        self._looking = self._loop.call_later(_PING_SECONDS, self._look)

    def _fail_all(self, text: str) -> None:
        calls = list(self.streams.values())
        self.streams.clear()
        for call in calls:
            call.fail(Status(Code.UNAVAILABLE, text))


def _message(body: bytearray) -> bytes:
    """The one message of an answer. Raises Status."""
    if len(body) < PREFIX_BYTES:
        raise Status(Code.INTERNAL, f"An answer has a message. Received: {len(body)} bytes")
    compressed, size = prefix_of(body)
    if compressed or size != len(body) - PREFIX_BYTES:
        raise Status(Code.INTERNAL, f"An answer has one message, not compressed. Received: {len(body)} bytes")
    return bytes(memoryview(body)[PREFIX_BYTES:])
