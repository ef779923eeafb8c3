"""Sockets to listen on."""

from __future__ import annotations

import socket

_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections send at once; port 0 picks a free one, "::" takes IPv4, too. Raises OSError.

    An answer leaves in two parts, its header and its body. On sockets made without naming their protocol, as
    `create_server` makes them, Python's own event loop lets the second part wait 40 ms for the first's acknowledgement;
    uvloop does not. Connections inherit the option.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=host == "::")
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(host: str, port: int) -> str:
    """As people and gRPC write it: an IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
