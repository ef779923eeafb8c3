"""One HTTP port: uvicorn, without its signals, and with an end at which no request is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from services.gateway.connection import Connection

_CLOSE = (b"connection", b"close")
_GOODBYE_SECONDS = 0.3  # within that a request that is on its way has come
_LOOK_SECONDS = 0.01
_MOST_TAKEN = 64  # at a time
_PATIENCE_SECONDS = 0.05  # an idle neighbour takes what is its own in less than one


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
        self._neighbours = Neighbours(self._protocol)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield

    def start(self, listener: socket.socket, neighbours: Sequence[socket.socket] = ()) -> asyncio.Task[None]:
        """Serve until `end`; the task ends early only if something is wrong. `neighbours`: sockets of other workers."""
        self._serving = asyncio.create_task(self.serve([listener]))
        self._neighbours.watch(neighbours)
        return self._serving

    def _protocol(self) -> asyncio.Protocol:
        """Of a connection, as uvicorn makes it of those it accepts itself."""
        make: Any = self.config.http_protocol_class
        made: asyncio.Protocol = make(config=self.config, server_state=self.server_state, app_state={})
        return made

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
        self._neighbours.leave()
        self.should_exit = True
        await self._serving


class Neighbours:
    """Takes the connections that other workers leave waiting on their sockets: they are busy, starting or gone.

    The kernel deals connections out to the sockets evenly, and does not know who is there to accept them.
    """

    def __init__(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._protocol = protocol
        self._listeners: Sequence[socket.socket] = ()
        self._timers: dict[socket.socket, asyncio.TimerHandle] = {}
        self._beginning: set[asyncio.Task[Any]] = set()

    def watch(self, listeners: Sequence[socket.socket]) -> None:
        """Look at these until `leave`."""
        self._listeners = listeners
        for listener in listeners:
            listener.setblocking(False)
            self._look(listener)

    def leave(self) -> None:
        """Take no more."""
        for timer in self._timers.values():
            timer.cancel()
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()

    def _look(self, listener: socket.socket) -> None:
        self._timers.pop(listener, None)
        asyncio.get_running_loop().add_reader(listener, self._wait, listener)

    def _wait(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._timers[listener] = loop.call_later(_PATIENCE_SECONDS, self._take, listener)

    def _take(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_MOST_TAKEN):
            try:
                connection, _ = listener.accept()
            except OSError:  # its owner has it; or no file descriptor is free, and then it waits for us, too
                break
            task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
        self._look(listener)
