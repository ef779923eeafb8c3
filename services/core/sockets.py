"""Sockets to listen on."""

from __future__ import annotations

import socket

_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections send at once; port 0 picks a free one. Raises OSError.

    An answer leaves in two parts, its header and its body. On sockets made without naming their protocol, as
    `create_server` makes them, Python's own event loop lets the second part wait 40 ms for the first's acknowledgement;
    uvloop does not. Connections inherit the option.
    """
    listener = socket.create_server((host, port), backlog=_BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
