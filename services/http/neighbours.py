"""Connections that other workers of a port leave waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

_MOST_TAKEN = 64  # at a time
_PATIENCE_SECONDS = 0.05  # an idle neighbour takes what is its own in less than one


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
