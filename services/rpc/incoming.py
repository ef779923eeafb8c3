"""The messages of one call as they come, each with a prefix of five bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

from services.core.errors import Code
from services.rpc.messages import ENCODINGS, PREFIX_BYTES, Status, decompressed, prefix_of, too_large

_MOST_WAITING = 16  # messages of a stream that nobody has read yet


class Incoming:
    """Bytes to messages of at most `most_bytes` each. All methods raise Status."""

    def __init__(self, encoding: bytes, most_bytes: int) -> None:
        self._encoding = encoding
        self._most_bytes = most_bytes
        self._body = bytearray()

    def add(self, data: bytes) -> None:
        """Some more of the one message of a call."""
        self._body += data
        if len(self._body) >= PREFIX_BYTES and len(self._body) > PREFIX_BYTES + self._size(self._body):
            raise Status(Code.INTERNAL, f"This method takes one message. Received: {len(self._body)} bytes and more")

    def only(self, last: bytes) -> bytes:
        """The one message of a call, which ends with these bytes."""
        body = bytes(self._body + last) if self._body else last
        if len(body) < PREFIX_BYTES or self._size(body) != len(body) - PREFIX_BYTES:
            raise Status(Code.INTERNAL, f"This method takes one whole message. Received: {len(body)} bytes")
        return self._unpacked(body)

    def several(self, data: bytes) -> Iterator[bytes]:
        """Those of many that are whole now."""
        self._body += data
        while len(self._body) >= PREFIX_BYTES:
            end = PREFIX_BYTES + self._size(self._body)
            if len(self._body) < end:
                break
            message = bytes(self._body[:end])
            del self._body[:end]
            yield self._unpacked(message)

    def _size(self, body: bytes | bytearray) -> int:
        _, size = prefix_of(body)
        if size > self._most_bytes:
            raise too_large(size, self._most_bytes)
        return size

    def _unpacked(self, body: bytes) -> bytes:
        message = body[PREFIX_BYTES:]
        if not prefix_of(body)[0]:
            return message
        if self._encoding not in ENCODINGS.split(b", "):
            raise Status(Code.UNIMPLEMENTED, f"Messages are packed by {ENCODINGS.decode()}. Received: another way")
        return decompressed(message, self._encoding, self._most_bytes)


class Inbox:
    """Messages on their way to a method that reads many."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._ended = False
        self._told = asyncio.Event()

    def put(self, message: bytes) -> None:
        """One more. Raises Status when too many wait."""
        if len(self._messages) >= _MOST_WAITING:
            raise Status(Code.RESOURCE_EXHAUSTED, f"At most {_MOST_WAITING} messages wait to be read. Received: more")
        self._messages.append(message)
        self._told.set()

    def end(self) -> None:
        """No more come."""
        self._ended = True
        self._told.set()

    async def read(self) -> AsyncIterator[bytes]:
        """One after another."""
        while self._messages or not self._ended:
            if self._messages:
                yield self._messages.popleft()
            else:
                self._told.clear()
                await self._told.wait()
