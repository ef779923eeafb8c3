"""One HTTP port: uvicorn, without its signals, and with an end at which no request is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from services.gateway.connection import Connection

_CLOSE = (b"connection", b"close")
_GOODBYE_SECONDS = 0.3  # within that a request that is on its way has come
_LOOK_SECONDS = 0.01


class HttpServer(uvicorn.Server):
    """Leaves signals to `Gateway.run`, which has other servers to stop and health to flip first."""

    def __init__(self, app: ASGIApp, drain_seconds: float) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(drain_seconds) or 1,
        )
        super().__init__(config)
        self._drain_seconds = drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield

    def start(self, listener: socket.socket) -> asyncio.Task[None]:
        """Serve until `end`; the task ends early only if something is wrong."""
        self._serving = asyncio.create_task(self.serve([listener]))
        return self._serving

    async def end(self) -> None:
        """Answer what comes in for a moment yet, asking clients to close; then close, and let running requests end.

        uvicorn alone closes connections that are idle to it, with requests that have been sent and not yet read.
        """
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers.append(_CLOSE)  # made anew from the former once a second
        clock = asyncio.get_running_loop().time
        until = clock() + min(_GOODBYE_SECONDS, self._drain_seconds)
        while self.server_state.connections and clock() < until:
            await asyncio.sleep(_LOOK_SECONDS)
        self.should_exit = True
        await self._serving
