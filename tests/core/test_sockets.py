"""Sockets to listen on."""

from __future__ import annotations

import socket

from services.core.sockets import listen


def test_what_is_written_in_two_parts_waits_for_no_acknowledgement() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
