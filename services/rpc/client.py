"""The client: unary calls over one connection, made again when it is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from services.core.errors import Code
from services.rpc.call import Metadata
from services.rpc.client_connection import ClientConnection, NotProcessed
from services.rpc.frames import Reason
from services.rpc.messages import Status

_CONNECT_SECONDS = 5.0
_REST_SECONDS = 0.1  # after a failed attempt; calls meanwhile fail at once


class Channel:
    """Calls to `address`, host:port. Connects when first used, and again when the connection is lost."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.connections = 0  # how many there were: who answers over a new one may be another process
        self._connection: ClientConnection | None = None
        self._connecting: asyncio.Task[ClientConnection] | None = None
        self._rests_until = 0.0  # after a failure, on the loop's clock
        self._why = ""
        self._loop = asyncio.get_running_loop()

    async def unary(self, path: str, message: bytes, seconds: float, *, metadata: Metadata = ()) -> bytes:
        """The answer's message; `metadata` go with the call. Raises Status."""
        until = self._loop.time() + seconds
        for _ in range(2):
            connection = self._connection
            if connection is None or not connection.usable:
                connection = await self._connected(until)
            try:
                return await connection.call(path, message, until, metadata=metadata)
            except NotProcessed as error:
                refused = Status(Code.UNAVAILABLE, str(error))
        raise refused

    async def _connected(self, until: float) -> ClientConnection:
        """A new connection, which all who wait share. Raises Status."""
        if self._loop.time() < self._rests_until:
            raise Status(Code.UNAVAILABLE, self._why)
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())
            self._connecting.add_done_callback(_seen)  # its callers may all have gone away
        connecting = self._connecting
        await asyncio.wait((connecting,), timeout=until - self._loop.time())
        if not connecting.done():
            raise Status(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
        return connecting.result()

    async def _connect(self) -> ClientConnection:
        host, _, port = self._address.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await self._loop.create_connection(
                    lambda: ClientConnection(self._address), host.strip("[]"), int(port)
                )
        except (OSError, TimeoutError) as error:
            self._rests_until = self._loop.time() + _REST_SECONDS
            self._why = f"Could not connect to {self._address}: {str(error) or 'it takes too long'}"
            raise Status(Code.UNAVAILABLE, self._why) from None
        finally:
            self._connecting = None
        self._connection = connection
        self.connections += 1
        return connection

    async def close(self) -> None:
        """End all calls."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError, Status):
                await self._connecting
        if self._connection is not None and self._connection.usable:
            self._connection.end(Reason.NO_ERROR)


def _seen(connecting: asyncio.Task[Any]) -> None:
    if not connecting.cancelled():
        connecting.exception()
