"""The server: an ASGI application on one port, and an end at which no request is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from starlette.types import ASGIApp

from services.core.sockets import BACKLOG
from services.http.connection import Connection, Connections
from services.http.neighbours import Neighbours

_GOODBYE_SECONDS = 0.3  # within that a request that is on its way has come
_LOOK_SECONDS = 0.01


class Server:
    """Answers from `start` to `stop`; at most `most` requests at a time, None: as many as come."""

    def __init__(self, app: ASGIApp, most: int | None = None) -> None:
        self._connections = Connections(app, most)
        self._neighbours = Neighbours(self._connection)
        self._listening: asyncio.Server | None = None

    def _connection(self) -> Connection:
        return Connection(self._connections)

    async def start(self, listener: socket.socket, neighbours: Sequence[socket.socket] = ()) -> None:
        """Take connections; `neighbours` are sockets of other workers. The kernel finds out which clients are gone."""
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # connections inherit it
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._connection, sock=listener, backlog=BACKLOG)
        self._neighbours.watch(neighbours)

    async def stop(self, seconds: float) -> None:
        """Answer what comes in for a moment yet, asking clients to close; then close, and let running requests end."""
        connections = self._connections
        connections.leaving = True
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        await self._none_left(min(clock() + _GOODBYE_SECONDS, end))
        self._neighbours.leave()
        if self._listening is not None:
            self._listening.close()
        for connection in list(connections.all):
            connection.leave()
        await self._none_left(end)
        for connection in list(connections.all):
            connection.cut()
        await self._none_left(clock() + _GOODBYE_SECONDS)

    async def _none_left(self, until: float) -> None:
        clock = asyncio.get_running_loop().time
        while self._connections.all and clock() < until:
            await asyncio.sleep(_LOOK_SECONDS)
