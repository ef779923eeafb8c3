"""Sockets to listen on."""

from __future__ import annotations

import socket

BACKLOG = 2048  # connections that nobody has taken yet


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections send at once; port 0 picks a free one, "::" takes IPv4, too. Raises OSError.

    An answer leaves in two parts, its header and its body. On sockets made without naming their protocol, as
    `create_server` makes them, Python's own event loop lets the second part wait 40 ms for the first's acknowledgement;
    uvloop does not. Connections inherit the option.
    """
    return _listen(host, port, shared=False)


def listen_shared(host: str, port: int) -> socket.socket:
    """The same on a port that is held: the kernel deals connections out to all sockets that listen there."""
    return _listen(host, port, shared=True)


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    family, both = _family(host), host == "::"
    listener = socket.create_server(
        (host, port), family=family, backlog=BACKLOG, reuse_port=shared, dualstack_ipv6=both
    )
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def hold(host: str, port: int) -> socket.socket:
    """A socket that keeps a port without listening: others cannot have it, but sockets of this user that share it
    (SO_REUSEPORT) can. Port 0 picks a free one. Raises OSError if it is taken, even by one who shares.

    Sharing is allowed after binding, because who binds with it is let in by others who share. SO_REUSEADDR lets it
    bind while connections of an earlier owner fade away, and would let a stranger bind, too.
    """
    holder = socket.socket(_family(host))
    try:
        if host == "::":
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        holder.close()
        raise
    return holder


def address_of(host: str, port: int) -> str:
    """As people and gRPC write it: an IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
