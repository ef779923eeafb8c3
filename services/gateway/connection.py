"""A connection over HTTP/1.1, as uvicorn speaks it, but for three things.

An answer leaves in one piece: uvicorn writes head and body one after the other, and each write is a system call that
wakes the client, half of what a small answer costs. A request ends with its connection: work that nobody waits for
stops. And a client that sends nothing, or a head without end, is not waited for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 1 << 16  # of a request line and headers
HEAD_SECONDS, BODY_SECONDS = 10.0, 30.0  # for a whole head; between two pieces of a body
_MOST_GATHERED = 1 << 16  # bytes


class Connection(HttpToolsProtocol):
    """One client's. When it goes away, its request under way is cancelled: that leaves the queue it waits in, or its
    call ends at the model server. Uvicorn tells an application so only while that waits for more of a request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doors: ASGIApp = self.app
        self.app = self._answer
        self._answering: asyncio.Task[Any] | None = None
        self._lost = False
        self._in_body = False
        self._head_bytes = 0
        self._due: float | None = None  # when the client must have sent more; None: nothing is wanted of it
        self._looking: asyncio.TimerHandle | None = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = self._answering = asyncio.current_task()
        try:
            await self._doors(scope, receive, send)
        except asyncio.CancelledError:
            if not self._lost:
                raise
        finally:
            if self._answering is answering:  # else it is the next request's
                self._answering = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]  # the part of it that is used
        self._due = self.loop.time() + HEAD_SECONDS
        self._look()

    def data_received(self, data: bytes) -> None:
        """A piece of a request, or of several."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._due is None or self.transport.is_closing():
            return
        if self._in_body:
            self._due = self.loop.time() + BODY_SECONDS
        elif self._head_bytes > MOST_HEAD_BYTES:
            self.send_400_response(f"The head of a request has at most {MOST_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._due = self.loop.time() + HEAD_SECONDS

    def on_headers_complete(self) -> None:
        """Its head is here."""
        super().on_headers_complete()
        self._in_body = True

    def on_message_complete(self) -> None:
        """It is here, whole."""
        super().on_message_complete()
        self._in_body, self._due, self._head_bytes = False, None, 0

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or has all its answers."""
        super().connection_lost(exc)
        self._lost = True
        if self._looking is not None:
            self._looking.cancel()
        if self._answering is not None and self.cycle.disconnected:
            self._answering.cancel()

    def _look(self) -> None:
        """Whether the client has sent what was due; one timer a connection, not one a request."""
        now = self.loop.time()
        if self._due is not None and self._due <= now and not self.flow.read_paused:
            self.transport.close()
            return
        self._looking = self.loop.call_later(HEAD_SECONDS / 2, self._look)


class _Gathering:
    """A transport that hands on what was written when the event loop's pass is over, or is much."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._size = 0
        for name in ("get_extra_info", "is_closing", "pause_reading", "resume_reading"):
            setattr(self, name, getattr(transport, name))

    def write(self, data: bytes) -> None:
        """Keep it until the pass is over."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _MOST_GATHERED:
            self._flush()

    def close(self) -> None:
        """Once what was written has left."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            self._transport.writelines(self._pieces)
            self._pieces, self._size = [], 0
