"""A connection over HTTP, whose request ends with it: work that nobody waits for stops."""

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

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or has all its answers."""
        super().connection_lost(exc)
        self._lost = True
        if self._answering is not None and self.cycle.disconnected:
            self._answering.cancel()
