"""Whole connections as parsers: what a client sends over HTTP/1.1 or HTTP/2, in three pieces, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from hpack import Encoder

from services.http import connection as http
from services.rpc import frames
from services.rpc.call import Call, Method, Rules
from services.rpc.frames import Reason
from services.rpc.messages import prefixed
from services.rpc.server_connection import Connections, ServerConnection

_PASSES = 4  # of the event loop: those an answer takes
_MOST_BYTES = 100_000


class Recorder:
    """A transport that keeps nothing but that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None: ...

    def writelines(self, pieces: Sequence[bytes]) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str) -> None:
        """There is no address."""

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


def read_http(data: bytes) -> None:
    """By a connection of the gateway's, before an application that answers what it was sent."""
    asyncio.run(_heard(lambda: http.Connection(http.Connections(_echo)), data))


def read_grpc(data: bytes) -> None:
    """By one of gRPC's, with a method of each kind."""
    asyncio.run(_heard(lambda: ServerConnection(RULES, Connections()), frames.PREFACE + data))


async def _heard(connect: Any, data: bytes) -> None:
    connection, transport = connect(), Recorder()
    connection.connection_made(transport)
    for start in range(0, len(data), len(data) // 3 + 1):
        if not transport.closed:
            connection.data_received(data[start : start + len(data) // 3 + 1])
        for _ in range(_PASSES):
            await asyncio.sleep(0)
    connection.connection_lost(None)


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    more, body = True, b""
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _unary(message: bytes, call: Call) -> bytes:
    return message


async def _streaming(message: bytes, call: Call) -> Any:
    yield message


async def _talking(messages: Any, call: Call) -> Any:
    async for message in messages:
        yield message


RULES = Rules(
    {"/x/one": Method(unary=_unary), "/x/many": Method(streaming=_streaming), "/x/talk": Method(talking=_talking)},
    lambda call: None,
    _MOST_BYTES,
)


def _call(number: int, path: str) -> bytes:
    names = (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")
    headers = Encoder().encode([*names, ("content-type", "application/grpc"), ("te", "trailers")])
    return frames.frame(frames.HEADERS, frames.END_HEADERS, number, headers) + frames.frame(
        frames.DATA, frames.END_STREAM, number, prefixed(b"message")
    )


SEEDS: Mapping[str, Sequence[bytes]] = {
    "http": (
        b"GET /a?b=%20c HTTP/1.1\r\nHost: x\r\n\r\n" * 3,
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbodyGET / HTTP/1.0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n1;a\r\n \r\n0\r\nA: 1\r\n\r\n",
        b"GET http://x:1/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ),
    "grpc": (
        frames.settings({frames.INITIAL_WINDOW_SIZE: 9}) + _call(1, "/x/one") + _call(3, "/x/many"),
        frames.settings({}) + _call(1, "/x/talk") + frames.reset(1, Reason.CANCEL) + _call(3, "/x/none"),
        frames.window_update(0, 5)
        + frames.frame(frames.PING, 0, 0, bytes(8))
        + frames.goaway(0, frames.Reason.NO_ERROR),
    ),
}
HTTP_WORDS = (
    b"\r\n", b"\r", b"\n", b"\0", b":", b" ", b"HTTP/1.1", b"HTTP/9.9", b"HTTP/1.0", b"-1",
    b"9" * 30, b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Connection: Upgrade\r\n", b"Expect: 100-continue\r\n", b"CONNECT ", b"OPTIONS * ", b"HEAD ", b"\xff", b"%ff", b"http://",
    b"[::1",
    b"0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)  # fmt: skip
HTTP_2_WORDS = (
    b"\0\0\0\x04\x01\0\0\0\0", b"\0\0\0", b"\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"\x7f\xff\xff\xff",
    b"\x88", b"\x40", b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0", b"\0\0\x08\x06\0\0\0\0\0",
    b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08", b"\x3f\xe1\x7f",
)  # fmt: skip
