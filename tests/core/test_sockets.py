"""Sockets to listen on."""

from __future__ import annotations

import socket

import pytest

from services.core.sockets import address_of, hold, listen, listen_shared


def test_what_is_written_in_two_parts_waits_for_no_acknowledgement() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    ("host", "asked"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")]
)
def test_an_address_of_either_kind_is_listened_on(host: str, asked: str) -> None:
    with listen(host, 0) as listener:
        socket.create_connection((asked, listener.getsockname()[1]), timeout=5).close()


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert [address_of("::1", 1), address_of("127.0.0.1", 2)] == ["[::1]:1", "127.0.0.1:2"]


def test_a_held_port_is_for_those_who_share_it() -> None:
    with hold("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        for stranger in (listen, hold):
            with pytest.raises(OSError):
                stranger("127.0.0.1", port)
        with listen_shared("127.0.0.1", port), listen_shared("127.0.0.1", port):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            for stranger in (listen, hold):
                with pytest.raises(OSError):
                    stranger("127.0.0.1", port)
    listen("127.0.0.1", port).close()
