"""One HTTP/2 connection, from either end: bytes to frames, frames to whole header blocks and data."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from services.rpc import frames
from services.rpc.frames import Broken, Reason
from services.rpc.headers import MOST_BYTES
from services.rpc.outgoing import Outgoing, Stream

WINDOW = 4 * 1024**2  # bytes of one message that may be on their way to us
CONNECTION_WINDOW = 4 * WINDOW  # of all messages together
LARGEST_FRAME = 65_536
_LAST_WORDS_SECONDS = 1.0

S = TypeVar("S", bound=Stream)


class Connection(asyncio.Protocol, ABC, Generic[S]):
    """What client and server have in common. One that breaks HTTP/2's rules ends with a GOAWAY that says which."""

    transport: Any
    out: Outgoing

    def __init__(self) -> None:
        self.streams: dict[int, S] = {}
        self.leaving = False  # there will be no new streams
        self.heard = False  # anything, since somebody last looked
        self.last = 0  # the youngest stream of those that clients begin
        self._rest = b""  # of a frame that has not come whole
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and the beginning of its header block
        self._window = CONNECTION_WINDOW
        self._arrived = 0

    @abstractmethod
    def on_headers(self, number: int, block: bytes, *, end: bool) -> None:
        """A whole header block, which must be read, or the next one cannot be."""

    @abstractmethod
    def on_data(self, stream: S, data: bytes, *, end: bool) -> None:
        """Some of what the other side sends."""

    @abstractmethod
    def on_reset(self, stream: S, reason: int) -> None:
        """The other side gives the stream up; it is no longer among `streams`."""

    @abstractmethod
    def on_goaway(self, last: int, reason: int, text: str) -> None:
        """The other side wants no more streams, and works on none after `last`."""

    def on_pong(self) -> None:
        """A ping of ours was answered."""

    def connection_made(self, transport: Any) -> None:
        """From now on we can write."""
        self.transport = transport
        self.out = Outgoing(transport)

    def begin(self, settings: Mapping[int, int], preface: bytes = b"") -> None:
        """Say what the other side may do."""
        ours = {
            frames.INITIAL_WINDOW_SIZE: WINDOW,
            frames.MAX_FRAME_SIZE: LARGEST_FRAME,
            frames.MAX_HEADER_LIST_SIZE: MOST_BYTES,
        }
        more = frames.window_update(0, CONNECTION_WINDOW - frames.FIRST_WINDOW)
        self.out.frames(preface + frames.settings({**ours, **settings}) + more)

    def end(self, reason: Reason, text: str = "") -> None:
        """Say why, and close, even if the other side does not read."""
        self._rest = b""
        if not self.transport.is_closing():
            self.out.frames(frames.goaway(self.last, reason, text))
            self.transport.close()
        asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self.transport.abort)

    def close_if_left(self) -> None:
        """When the last call of one that leaves is over."""
        if self.leaving and not self.streams and not self.out.open:
            self.transport.close()

    def accept_more(self, stream: S) -> None:
        """What has arrived has been taken."""
        if stream.arrived >= WINDOW // 2:
            self.out.frames(frames.window_update(stream.number, stream.arrived))
            stream.window += stream.arrived
            stream.arrived = 0

    def is_within(self) -> bool:
        """Something has begun to come and is not there whole."""
        return bool(self._rest) or self._block is not None

    def pause_writing(self) -> None:
        """The other side does not read."""
        self.out.pause()

    def resume_writing(self) -> None:
        """It does again."""
        self.out.resume()

    def data_received(self, data: bytes) -> None:
        """Frames, or parts of them."""
        self.heard = True
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        try:
            while end - at >= frames.HEAD_BYTES and not self.transport.is_closing():
                size, kind, flags, number = frames.head_at(data, at)
                if size > LARGEST_FRAME:
                    raise Broken(
                        Reason.FRAME_SIZE_ERROR, f"A frame has {LARGEST_FRAME} bytes at most. Received: {size}"
                    )
                after = at + frames.HEAD_BYTES + size
                if after > end:
                    break
                self._take(kind, flags, number, data[at + frames.HEAD_BYTES : after])
                at = after
            self._rest = data[at:]
        except Broken as error:
            self.end(error.reason, error.text)

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block[0]):
            raise Broken(Reason.PROTOCOL_ERROR, f"Headers are followed by their rest. Received: a frame of type {kind}")
        take = self._TAKES.get(kind)
        if take is not None:  # others are to be ignored (RFC 9113, 5.5)
            take(self, flags, number, payload)

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        self._count(len(payload))
        stream = self._stream(number, "DATA")
        if stream is None:
            return  # it has ended, and this was on its way
        stream.window -= len(payload)
        stream.arrived += len(payload)
        if stream.window < 0:
            raise Broken(Reason.FLOW_CONTROL_ERROR, "Data fit into the stream's window. Received: more")
        data = frames.unpadded(payload, frames.PADDED) if flags & frames.PADDED else payload
        self.on_data(stream, data, end=bool(flags & frames.END_STREAM))

    def _count(self, size: int) -> None:
        """Data of any stream. What has come makes room for as much at once: messages have bounds of their own."""
        self._window -= size
        self._arrived += size
        if self._window < 0:
            raise Broken(Reason.FLOW_CONTROL_ERROR, "Data fit into the connection's window. Received: more")
        if self._arrived >= CONNECTION_WINDOW // 2:
            self.out.frames(frames.window_update(0, self._arrived))
            self._window += self._arrived
            self._arrived = 0

    def _stream(self, number: int, kind: str) -> S | None:
        """None: it has ended. Raises Broken for one that nobody has begun."""
        if not number % 2 or number > self.last:
            raise Broken(Reason.PROTOCOL_ERROR, f"{kind} is of a stream that was begun. Received: {number}")
        return self.streams.get(number)

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        block = frames.unpadded(payload, flags) if flags & (frames.PADDED | frames.PRIORITISED) else payload
        self._collect(number, flags, block)

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None:
            raise Broken(Reason.PROTOCOL_ERROR, "CONTINUATION follows HEADERS. Received: one by itself")
        if not payload and not flags & frames.END_HEADERS:
            raise Broken(Reason.ENHANCE_YOUR_CALM, "CONTINUATION goes on. Received: an empty one")
        _, began, block = self._block
        self._block = None
        self._collect(number, began & frames.END_STREAM | flags & frames.END_HEADERS, block + payload)

    def _collect(self, number: int, flags: int, block: bytes) -> None:
        if len(block) > MOST_BYTES:
            raise Broken(Reason.ENHANCE_YOUR_CALM, f"Headers have {MOST_BYTES} bytes at most. Received: {len(block)}")
        if flags & frames.END_HEADERS:
            self.on_headers(number, block, end=bool(flags & frames.END_STREAM))
        else:
            self._block = number, flags, block

    def _take_reset(self, flags: int, number: int, payload: bytes) -> None:
        reason = frames.word_of(payload, "RST_STREAM")
        stream = self._stream(number, "RST_STREAM")
        self.out.forget(number)
        if stream is not None:
            del self.streams[number]
            self.on_reset(stream, reason)
        self.close_if_left()

    def _take_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Broken(Reason.PROTOCOL_ERROR, f"SETTINGS are of the connection. Received: stream {number}")
        if not flags & frames.ACK:
            self.out.settings(payload)
            self.close_if_left()

    def _take_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number or len(payload) != 8:
            raise Broken(Reason.FRAME_SIZE_ERROR, f"PING has 8 bytes. Received: {len(payload)} on stream {number}")
        if flags & frames.ACK:
            self.on_pong()
        else:
            self.out.frames(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _take_goaway(self, flags: int, number: int, payload: bytes) -> None:
        self.on_goaway(*frames.goaway_of(payload))

    def _take_window_update(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            self._stream(number, "WINDOW_UPDATE")
        self.out.more(payload, number)
        self.close_if_left()

    def _take_push(self, flags: int, number: int, payload: bytes) -> None:
        raise Broken(Reason.PROTOCOL_ERROR, "Nobody pushes. Received: PUSH_PROMISE")

    _TAKES: Mapping[int, Callable[[Any, int, int, bytes], None]] = {
        frames.DATA: _take_data,
        frames.HEADERS: _take_headers,
        frames.RST_STREAM: _take_reset,
        frames.SETTINGS: _take_settings,
        frames.PUSH_PROMISE: _take_push,
        frames.PING: _take_ping,
        frames.GOAWAY: _take_goaway,
        frames.WINDOW_UPDATE: _take_window_update,
        frames.CONTINUATION: _take_continuation,
    }
