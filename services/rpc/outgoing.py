"""What one end of a connection sends: as much as the other side has room for (RFC 9113, 5.2), the rest later."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from services.rpc import frames
from services.rpc.frames import Broken, Reason


class Stream:
    """One call: what of ours waits to be sent, and the account of what may still come."""

    __slots__ = ("arrived", "closes", "drained", "finished", "number", "room", "unsent", "window")

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window  # bytes that may still come
        self.arrived = 0  # since we last said that more may come
        self.room = 0  # bytes that we may send
        self.unsent: deque[bytes | memoryview] = deque()  # frames; a memoryview is data yet to be cut into frames
        self.closes = False  # the last data of `unsent` end the stream
        self.finished = False  # nothing is added to `unsent`
        self.drained: asyncio.Future[None] | None = None  # somebody waits until nothing is unsent


class Outgoing:
    """Owns the windows of what we send."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._room = self._first_room = frames.FIRST_WINDOW
        self._largest = frames.LEAST_FRAME
        self._paused = False
        self.open: dict[int, Stream] = {}  # until all of them is sent

    def begin(self, stream: Stream) -> None:
        """A new stream."""
        stream.room = self._first_room
        self.open[stream.number] = stream

    def finish(self, stream: Stream) -> None:
        """Nothing more is sent than what waits to be."""
        stream.finished = True
        if not stream.unsent:
            self.open.pop(stream.number, None)

    def forget(self, number: int) -> None:
        """Nobody wants the rest."""
        self.open.pop(number, None)

    def frames(self, ready: bytes) -> None:
        """What no window counts. Nobody hears what comes after the end of the connection."""
        if not self._transport.is_closing():
            self._transport.write(ready)

    def message(self, stream: Stream, data: bytes, *, before: bytes = b"", after: bytes = b"", end: bool) -> None:
        """Data between frames that are ready; `end`: nothing comes after them."""
        size = len(data)
        if not stream.unsent and size <= self._room and size <= stream.room and size <= self._largest:
            self._room -= size
            stream.room -= size
            last = frames.END_STREAM if end and not after else 0
            self.frames(before + frames.frame(frames.DATA, last, stream.number, data) + after)
            return
        stream.closes = end and not after
        stream.unsent.extend(part for part in (before, memoryview(data), after) if part)
        self._pump(stream)

    def after(self, stream: Stream, ready: bytes) -> None:
        """Frames behind what the stream has yet to send."""
        if stream.unsent:
            stream.unsent.append(ready)
        else:
            self.frames(ready)

    async def drain(self, stream: Stream) -> None:
        """Wait until the other side has taken what there is."""
        if stream.unsent or self._paused:
            stream.drained = asyncio.get_running_loop().create_future()
            await stream.drained

    def pause(self) -> None:
        """The other side does not read."""
        self._paused = True

    def resume(self) -> None:
        """It does again."""
        self._paused = False
        for stream in self.open.values():
            self._tell_drained(stream)

    def settings(self, payload: bytes) -> None:
        """The other side's; of one that is said again and again, the last. Raises Broken."""
        for setting, value in dict(frames.settings_of(payload)).items():
            if setting == frames.INITIAL_WINDOW_SIZE:
                if value > frames.LARGEST_WINDOW:
                    raise Broken(Reason.FLOW_CONTROL_ERROR, f"A window has 2^31-1 bytes at most. Received: {value}")
                for stream in self.open.values():
                    stream.room += value - self._first_room
                self._first_room = value
            elif setting == frames.MAX_FRAME_SIZE:
                if not frames.LEAST_FRAME <= value < 2**24:
                    raise Broken(Reason.PROTOCOL_ERROR, f"A frame has 2^14 to 2^24-1 bytes. Received: {value}")
                self._largest = value
        self.frames(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._pump_all()

    def more(self, payload: bytes, number: int) -> None:
        """The other side has room again, for one stream or, 0, for all together. Raises Broken."""
        stream = self.open.get(number)
        more = frames.word_of(payload, "WINDOW_UPDATE")
        if not more:
            raise Broken(Reason.PROTOCOL_ERROR, "A window grows. Received: by 0 bytes")
        blocked = self._room <= 0
        if not number:
            self._room += more
        elif stream is not None:
            stream.room += more
        if max(self._room, 0 if stream is None else stream.room) > frames.LARGEST_WINDOW:
            raise Broken(Reason.FLOW_CONTROL_ERROR, f"A window has 2^31-1 bytes at most. Received: {more} more")
        if stream is not None:
            self._pump(stream)
        elif blocked:
            self._pump_all()

    def _pump_all(self) -> None:
        for stream in list(self.open.values()):
            if stream.unsent:
                self._pump(stream)

    def _pump(self, stream: Stream) -> None:
        unsent = stream.unsent
        while unsent:
            part = unsent[0]
            if isinstance(part, bytes):
                self.frames(part)
                unsent.popleft()
                continue
            size = min(len(part), self._room, stream.room, self._largest)
            if size <= 0:
                return
            self._room -= size
            stream.room -= size
            rest = part[size:]
            last = frames.END_STREAM if stream.closes and not rest else 0
            self.frames(frames.frame(frames.DATA, last, stream.number, bytes(part[:size])))
            if rest:
                unsent[0] = rest
            else:
                unsent.popleft()
        self._tell_drained(stream)
        if stream.finished:
            self.forget(stream.number)

    def _tell_drained(self, stream: Stream) -> None:
        if stream.drained is not None and not stream.unsent and not self._paused and not stream.drained.done():
            stream.drained.set_result(None)
