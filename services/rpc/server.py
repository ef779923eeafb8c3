"""The server: methods by their paths, on one port."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from services.core.sockets import BACKLOG
from services.rpc.call import Rules
from services.rpc.server_connection import Connections, ServerConnection


class Server:
    """Accepts connections from `start` to `stop`."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._connections = Connections()
        self._listening: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> int:
        """Take connections; the port. The kernel finds out which clients are no longer there."""
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # connections inherit it
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: ServerConnection(self._rules, self._connections), sock=listener, backlog=BACKLOG
        )
        port: int = listener.getsockname()[1]
        return port

    async def stop(self, seconds: float) -> None:
        """Take no more calls, and give those under way so long. May be called again with less patience."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            for connection in list(self._connections.all):
                connection.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._connections.none.wait()
        for connection in list(self._connections.all):
            connection.cut()
        await self._connections.none.wait()  # a connection is closed within a second, read or not
