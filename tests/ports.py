"""Ports for servers that tests start."""

from __future__ import annotations

import socket


def free_port(offset: int = 0) -> int:
    """A port nobody listens on now; with `offset`, one whose number plus `offset` is free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port + offset > 65535:
                continue
            if offset:
                try:
                    second.bind(("127.0.0.1", port + offset))
                except OSError:
                    continue
            return port
