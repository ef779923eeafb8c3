"""HTTP/1.1 itself, over raw sockets: bad chunks, two lengths, half requests, many headers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.lengths import LOOK
from tests.fuzz.mutations import mutated, token_wise
from tests.fuzz.running import PATIENCE, Target

BODY = b'{"instances": [4]}'
HEAD = b"POST /v1/models/affine:predict HTTP/1.1\r\nHost: x\r\n"
RIGHT = (
    HEAD + b"Content-Length: 18\r\n\r\n" + BODY,
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n" + BODY[:9] + b"\r\n9\r\n" + BODY[9:] + b"\r\n0\r\n\r\n",
    HEAD + b"Expect: 100-continue\r\nContent-Length: 18\r\n\r\n" + BODY,
    b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.0\r\n\r\n",
    b"GET /nowhere?a=%ff HTTP/1.1\r\nHost: [\r\n\r\n",
)
WORDS = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"0", b"-1", b"18, 19", b"ffffffffffffffff", b"1;x", b"%00", b"\xff",
    b"Content-Length: 0\r\n", b"Host: [::1\r\n",
    b"Content-Length: 18\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"HTTP/1.0",
    b"HTTP/9.9", b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"http://[/", b"*", b"CONNECT", b"OPTIONS", b"HEAD", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"a: b\r\n" * 300, b"x" * 9000,
)  # fmt: skip


@pytest.fixture(scope="module")
def connection(target: Target) -> Iterator[HTTPConnection]:
    """Another client, who does all right."""
    connection = target.connect()
    yield connection
    connection.close()


@LOOK
@given(data=st.data())
def test_whatever_is_sent_the_connection_ends_and_others_are_answered(
    target: Target, connection: HTTPConnection, data: st.DataObject
) -> None:
    request = data.draw(st.one_of(token_wise(RIGHT, WORDS), mutated(RIGHT, WORDS)))
    target.count("framing")
    answers = exchanged(target, request)
    assert b"HTTP/1.1 500" not in answers and b"Traceback" not in answers
    target.check_own(connection)


def exchanged(target: Target, request: bytes) -> bytes:
    """All that comes back until the other side closes; TimeoutError when it does not."""
    with socket.create_connection(("127.0.0.1", target.http_port), timeout=PATIENCE) as client:
        answers = b""
        try:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(1 << 16):
                answers += part
        except (ConnectionError, BrokenPipeError):  # it may hang up on what it does not understand
            pass
        return answers
