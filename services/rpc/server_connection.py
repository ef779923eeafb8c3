"""One connection of a client: calls in, answers out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from contextvars import copy_context
from typing import Any

from services.core.errors import Code
from services.rpc import frames
from services.rpc.call import Call, Method, Rules, Unary
from services.rpc.connection import WINDOW, Connection
from services.rpc.frames import Broken, Reason
from services.rpc.headers import STATUS, STATUS_200, Blocks, literal
from services.rpc.incoming import Inbox, Incoming
from services.rpc.messages import ENCODINGS, Status, prefixed, quoted
from services.rpc.outgoing import Stream
from services.rpc.request_head import RequestHead, request_head

_log = logging.getLogger(__name__)

MOST_STREAMS = 256  # calls of one connection at a time
_MOST_TASKS = 2 * MOST_STREAMS  # a client may give calls up faster than their methods end (CVE-2023-44487)
_MOST_TEXT = 1300  # characters, at most 12 bytes each: clients take no status with more than 16 KB of metadata
_LOOK_SECONDS = 10.0
_MOST_SILENT = 3  # looks in the middle of a message; in the middle of a frame, or before the first, one
_NO_HTTP_2 = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 24\r\nconnection: close\r\n\r\nThis port speaks gRPC.\r\n"

_TYPE = literal(b"content-type", b"application/grpc")
_HEAD = STATUS_200 + _TYPE + literal(b"grpc-accept-encoding", ENCODINGS)
_OK = literal(b"grpc-status", b"0")
_UNSUPPORTED = literal(STATUS, b"415")


class Connections:
    """Those of one server."""

    def __init__(self) -> None:
        self.all: set[ServerConnection] = set()
        self.none = asyncio.Event()
        self.none.set()

    def enter(self, connection: ServerConnection) -> None:
        """One more."""
        self.all.add(connection)
        self.none.clear()

    def leave(self, connection: ServerConnection) -> None:
        """One less."""
        self.all.discard(connection)
        if not self.all:
            self.none.set()


class _Answering(Stream):
    """A call and its answer."""

    __slots__ = ("begun", "call", "context", "inbox", "incoming", "method", "task", "whole")

    def __init__(self, number: int, call: Call, method: Method, incoming: Incoming) -> None:
        super().__init__(number, WINDOW)
        self.call = call
        self.context = copy_context()  # `admit` may note there who calls
        self.method = method
        self.incoming = incoming
        self.inbox = None if method.talking is None else Inbox()
        self.whole = False  # no more data comes
        self.begun = False  # the answer's headers are on their way
        self.task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Nobody wants the answer. Who works at it holds on to all this, by the traceback of where it was cancelled."""
        task, self.task = self.task, None
        if task is not None:
            task.cancel()


class ServerConnection(Connection[_Answering]):
    """Ends calls that their clients give up, and all of them when the connection is lost."""

    def __init__(self, rules: Rules, connections: Connections) -> None:
        super().__init__()
        self._rules = rules
        self._connections = connections
        self._blocks = Blocks(request_head)
        self._tasks: set[asyncio.Task[None]] = set()
        self._preface = frames.PREFACE  # what is still to come of it
        self._loop = asyncio.get_running_loop()
        self._silent = 0  # looks at which nothing had come

    def connection_made(self, transport: Any) -> None:
        """A client is there."""
        super().connection_made(transport)
        self._connections.enter(self)
        self._looking = self._loop.call_later(_LOOK_SECONDS, self._look)

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody wants the answers."""
        self._connections.leave(self)
        self._looking.cancel()
        for stream in self.streams.values():
            stream.stop()
        self.streams.clear()

    def pause_writing(self) -> None:
        """A client that does not read is not read either: what it asks for would pile up here."""
        super().pause_writing()
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if not self.transport.is_closing():
            self.transport.resume_reading()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """First the preface, then frames. Who speaks HTTP/1 is answered in it."""
        if self._preface:
            size = min(len(self._preface), len(data))
            if data[:size] != self._preface[:size]:
                self.transport.write(_NO_HTTP_2)
                self.transport.close()
                return
            self._preface, data = self._preface[size:], data[size:]
            if not self._preface:
                self.begin({frames.MAX_CONCURRENT_STREAMS: MOST_STREAMS})
        super().data_received(data)

    def _look(self) -> None:
        self._silent = 0 if self.heard else self._silent + 1
        self.heard = False
        coming = any(not one.whole and one.inbox is None for one in self.streams.values())
        if self._preface or (self.is_within() and self._silent) or (coming and self._silent >= _MOST_SILENT):
            self.end(Reason.NO_ERROR, "A request comes without long silence")
        else:
            self._looking = self._loop.call_later(_LOOK_SECONDS, self._look)

    def on_headers(self, number: int, block: bytes, *, end: bool) -> None:
        """A new call, or the end of one's messages."""
        head = self._blocks.of(block)
        if number > self.last and number % 2:
            self.last = number
            self._begin(number, head, end=end)
            return
        stream = self._stream(number, "HEADERS")
        if stream is not None:
            self.on_data(stream, b"", end=True)

    def _begin(self, number: int, head: RequestHead, *, end: bool) -> None:
        if len(self._tasks) >= _MOST_TASKS:
            raise Broken(Reason.ENHANCE_YOUR_CALM, f"At most {_MOST_TASKS} calls are given up at a time")
        if len(self.out.open) >= MOST_STREAMS or self.leaving:
            self.out.frames(frames.reset(number, Reason.REFUSED_STREAM))
            return
        if not head.is_grpc:
            self.out.frames(_headers(number, _UNSUPPORTED, frames.END_STREAM))
            return
        method = self._rules.methods.get(head.path)
        deadline = None if head.seconds is None else self._loop.time() + head.seconds
        incoming = Incoming(head.encoding, self._rules.most_bytes)
        stream = _Answering(number, Call(head.path, head.metadata, deadline), method or Method(), incoming)
        stream.whole = end
        self.streams[number] = stream
        self.out.begin(stream)
        try:
            stream.context.run(self._rules.admit, stream.call)
            if method is None:
                raise Status(Code.UNIMPLEMENTED, self._rules.unknown)
        except Status as error:
            self._finish(stream, error)
            return
        if method.talking is not None and stream.inbox is not None:
            self._start(stream, self._stream_out(stream, method.talking(stream.inbox.read(), stream.call)))
        if end:
            self._take_in(stream, b"")

    def on_data(self, stream: _Answering, data: bytes, *, end: bool) -> None:
        """Some of a call's messages."""
        if stream.whole:
            raise Broken(Reason.STREAM_CLOSED, "Nothing follows the end of a request. Received: more")
        stream.whole = end
        self._take_in(stream, data)

    def _take_in(self, stream: _Answering, data: bytes) -> None:
        """A method that takes one message begins when that is whole."""
        try:
            if stream.inbox is not None:
                for message in stream.incoming.several(data):
                    stream.inbox.put(message)
                if stream.whole:
                    stream.inbox.end()
            elif stream.whole:
                self._call(stream, stream.incoming.only(data))
                return
            else:
                stream.incoming.add(data)
        except Status as error:
            self._finish(stream, error)
            stream.stop()
            return
        if not stream.whole:
            self.accept_more(stream)

    def on_reset(self, stream: _Answering, reason: int) -> None:
        """The client gave the call up."""
        stream.stop()

    def on_goaway(self, last: int, reason: int, text: str) -> None:
        """The client will begin no more calls; those it has begun it wants answered."""

    def _call(self, stream: _Answering, message: bytes) -> None:
        method, call = stream.method, stream.call
        if method.unary is not None:
            self._start(stream, self._answer(stream, method.unary, message))
        elif method.streaming is not None:
            self._start(stream, self._stream_out(stream, method.streaming(message, call)))

    def _start(self, stream: _Answering, answering: Coroutine[Any, Any, None]) -> None:
        stream.task = task = self._loop.create_task(answering, context=stream.context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, stream: _Answering, method: Unary, message: bytes) -> None:
        call = stream.call
        try:
            reply = await method(message, call)
        except Exception as error:  # the edge: whatever it was, the client gets a status
            self._finish(stream, _status_of(error, call))
            return
        if self.streams.pop(stream.number, None) is not None:
            head = _headers(stream.number, _HEAD)
            tail = _headers(stream.number, _OK + _metadata(call.trailing), frames.END_STREAM)
            self.out.message(stream, prefixed(reply), before=head, after=tail, end=True)
            self.out.finish(stream)
            self.close_if_left()

    async def _stream_out(self, stream: _Answering, replies: AsyncIterator[bytes]) -> None:
        call, failure = stream.call, None
        try:
            async with aclosing(replies) as several:  # type: ignore[type-var]  # methods are generators
                async for reply in several:
                    before = b"" if stream.begun else _headers(stream.number, _HEAD)
                    stream.begun = True
                    self.out.message(stream, prefixed(reply), before=before, end=False)
                    await self.out.drain(stream)
        except Exception as error:  # as above
            failure = _status_of(error, call)
        self._finish(stream, failure)

    def _finish(self, stream: _Answering, failure: Status | None) -> None:
        """The status, of a call that the client has not given up."""
        if self.streams.pop(stream.number, None) is None:
            return
        said = _OK if failure is None else _failed(failure)
        block = (b"" if stream.begun else STATUS_200 + _TYPE) + said + _metadata(stream.call.trailing)
        tail = _headers(stream.number, block, frames.END_STREAM)
        rest = b"" if stream.whole else frames.reset(stream.number, Reason.NO_ERROR)  # no need to send it
        self.out.after(stream, tail + rest)
        self.out.finish(stream)
        self.close_if_left()

    def leave(self) -> None:
        """Ask for no new calls. Those that are on their way are taken, until the client answers that it has heard."""
        self.out.frames(
            frames.goaway(frames.LARGEST_STREAM, Reason.NO_ERROR) + frames.frame(frames.PING, 0, 0, bytes(8))
        )

    def on_pong(self) -> None:
        """The client has heard that we leave."""
        self.leaving = True
        self.out.frames(frames.goaway(self.last, Reason.NO_ERROR))
        self.close_if_left()

    def cut(self) -> None:
        """End what is still under way."""
        for stream in list(self.streams.values()):
            self._finish(stream, Status(Code.UNAVAILABLE, "The server stops; try again in a moment."))
            stream.stop()
        self.end(Reason.NO_ERROR)


def _headers(number: int, block: bytes, flags: int = 0) -> bytes:
    return frames.frame(frames.HEADERS, flags | frames.END_HEADERS, number, block)


def _status_of(error: Exception, call: Call) -> Status:
    if isinstance(error, Status):
        return error
    _log.error("%s failed", call.path, exc_info=error)
    return Status(Code.INTERNAL, "")


def _failed(failure: Status) -> bytes:
    number = literal(b"grpc-status", b"%d" % failure.code.value)
    return number + literal(b"grpc-message", quoted(failure.text[:_MOST_TEXT]))


def _metadata(headers: Sequence[tuple[str, str]]) -> bytes:
    return b"".join(literal(name.encode(), value.encode()) for name, value in headers)
