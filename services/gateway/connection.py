"""A connection over HTTP/1.1, as uvicorn speaks it, but for two things.

An answer leaves in one piece: uvicorn writes head and body one after the other, and each write is a system call that
wakes the client, half of what a small answer costs. And a request ends with its connection: work that nobody waits for
stops.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    """Cancels the request under way when the client goes away: it leaves the queue it waits in, or its call ends at
    the model server. Uvicorn tells an application so only while that waits for more of a request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doors: ASGIApp = self.app
        self.app = self._answer
        self._answering: asyncio.Task[Any] | None = None
        self._lost = False

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._answering = asyncio.current_task()
        try:
            await self._doors(scope, receive, send)
        except asyncio.CancelledError:
            if not self._lost:
                raise
        finally:
            self._answering = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]  # the part of it that is used

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or has all its answers."""
        super().connection_lost(exc)
        self._lost = True
        if self._answering is not None and self.cycle.disconnected:
            self._answering.cancel()


class _Gathering:
    """A transport that hands on what was written when the event loop's pass is over."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        for name in ("get_extra_info", "is_closing", "pause_reading", "resume_reading"):
            setattr(self, name, getattr(transport, name))

    def write(self, data: bytes) -> None:
        """Keep it until the pass is over."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def close(self) -> None:
        """Once what was written has left."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            self._transport.writelines(self._pieces)
            self._pieces = []
