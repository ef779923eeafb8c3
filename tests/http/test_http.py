"""Our server asked over sockets, as clients write and as they should not, with a small application behind it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from services.core.sockets import listen
from services.http import connection
from services.http.exchange import Exchange
from services.http.server import Server

pytestmark = pytest.mark.anyio

LARGE = 1 << 22
WHO = ContextVar("who", default="nobody")


@dataclass
class App:
    """Answers by path."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        await getattr(self, scope["path"].strip("/"))(scope, receive, send)

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        """The body."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await answer(send, body)

    async def told(self, scope: Any, receive: Any, send: Any) -> None:
        """What the application is told of the request."""
        await answer(send, repr((scope["method"], scope["raw_path"], scope["query_string"])).encode())

    async def headers(self, scope: Any, receive: Any, send: Any) -> None:
        """What the request's headers are when its body is read."""
        while (await receive())["more_body"]:
            pass
        await answer(send, repr(scope["headers"]).encode())

    async def pieces(self, scope: Any, receive: Any, send: Any) -> None:
        """Three, of a length nobody said."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one ", b"", b"two "):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})

    async def large(self, scope: Any, receive: Any, send: Any) -> None:
        """More than a client takes at once."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(16):
            await send({"type": "http.response.body", "body": bytes(LARGE), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self.ended.set()

    async def wait(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer when let go."""
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await answer(send, b"at last")

    async def name(self, scope: Any, receive: Any, send: Any) -> None:
        """Who asked, as far as it was said before."""
        who = WHO.get()
        WHO.set("another")
        await answer(send, who.encode())

    async def deaf(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer without reading."""
        await answer(send, b"no")

    async def fail(self, scope: Any, receive: Any, send: Any) -> None:
        """A fault of ours."""
        raise ValueError("a secret")

    async def silent(self, scope: Any, receive: Any, send: Any) -> None:
        """Another."""

    async def split(self, scope: Any, receive: Any, send: Any) -> None:
        """A header with a line of its own."""
        await answer(send, b"", (b"x-name", b"a\r\nset-cookie: b"))

    async def torn(self, scope: Any, receive: Any, send: Any) -> None:
        """The same, told too late."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"less", "more_body": True})
        raise ValueError("a secret")

    async def short(self, scope: Any, receive: Any, send: Any) -> None:
        """Less than was said."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"less"})


async def answer(send: Any, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """200."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Here:
    """The server, and who asks it."""

    app: App
    server: Server
    port: int

    async def ask(self, sent: bytes) -> bytes:
        """All that comes back until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        received = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return received


@asynccontextmanager
async def served(most: int | None = None) -> AsyncIterator[Here]:
    app = App()
    server, listener = Server(app, most), listen("127.0.0.1", 0)
    await server.start(listener)
    try:
        yield Here(app, server, listener.getsockname()[1])
    finally:
        await server.stop(0)


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    async with served() as here:
        yield here


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"", close: bool = True) -> bytes:
    """As it is written; the connection ends with its answer unless told otherwise."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def body_of(received: bytes) -> bytes:
    return received.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 20])
async def test_a_body_is_read_whole_in_whatever_pieces_it_comes(here: Here, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{here.port}") as client:
        whole = await client.post("/echo", content=body)

        async def several() -> AsyncIterator[bytes]:
            for start in range(0, size, 70_000):
                yield body[start : start + 70_000]

        chunked = await client.post("/echo", content=several())
    assert whole.content == chunked.content == body


async def test_an_answer_of_no_known_length_comes_in_chunks(here: Here) -> None:
    received = await here.ask(request("/pieces"))
    assert b"\r\ntransfer-encoding: chunked\r\n" in received
    assert body_of(received) == b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"


async def test_over_http_1_0_it_ends_with_the_connection(here: Here) -> None:
    received = await here.ask(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"chunked" not in received and b"\r\nconnection: close\r\n" in received
    assert body_of(received) == b"one two three"


async def test_head_has_the_head_of_get_and_no_body(here: Here) -> None:
    received = await here.ask(request("/told", method="HEAD"))
    assert b"\r\ncontent-length: 23\r\n" in received and body_of(received) == b""


@pytest.mark.parametrize("target", ["/told?a=%20b", "http://x:1/told?a=%20b", "/%74old?a=%20b"])
async def test_a_target_is_a_path_and_a_query(here: Here, target: str) -> None:
    path = target.removeprefix("http://x:1").partition("?")[0].encode()
    assert body_of(await here.ask(request(target))) == repr(("GET", path, b"a=%20b")).encode()


async def test_a_client_that_waits_to_send_its_body_is_told_to(here: Here) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"body")
    assert (await reader.readuntil(b"body")).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_an_upgrade_is_declined_and_the_request_is_answered(here: Here) -> None:
    upgrade = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
    wishes = [request("/echo", *upgrade, method="POST", body=body, close=False) for body in (b"one", b"two")]
    received = await here.ask(b"".join(wishes) * 300 + request("/told", *upgrade) + request("/told"))
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 601
    assert received.index(b"\r\n\r\none") < received.index(b"\r\n\r\ntwo") < received.index(b"('GET'")


CONNECT = b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("nonsense", [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CONNECT])
async def test_nonsense_is_told_so_and_hung_up_on(here: Here, nonsense: bytes) -> None:
    received = await here.ask(nonsense)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert body_of(received) == b"Invalid HTTP request received."


async def test_a_request_without_a_host_is_told_so_and_nothing_behind_it_is_answered(here: Here) -> None:
    received = await here.ask(request("/told", close=False) + b"GET /told HTTP/1.1\r\n\r\n" + request("/told"))
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert received.endswith(b"Received: no header `Host`")
    assert (await here.ask(b"GET /told HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_nonsense_after_a_request_is_told_after_its_answer(here: Here) -> None:
    asking = asyncio.create_task(here.ask(request("/wait", close=False) + b"nonsense\r\n\r\n"))
    await here.app.began.wait()
    here.app.go.set()
    received = await asking
    assert received.index(b"at last") < received.index(b"400 Bad Request")


CHUNKED = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("path", [b"/echo", b"/wait"])
async def test_a_body_that_breaks_off_in_nonsense_is_told_so_at_once(here: Here, path: bytes) -> None:
    received = await asyncio.wait_for(here.ask(CHUNKED % path + b"4\r\nbody\r\nnonsense\r\n"), 10)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n") and received.count(b"HTTP/1.1") == 1
    assert not here.app.began.is_set() or here.app.cancelled.is_set()


async def test_a_broken_body_behind_another_request_is_told_after_its_answer(here: Here) -> None:
    asking = asyncio.create_task(here.ask(request("/wait", close=False) + CHUNKED % b"/echo" + b"nonsense\r\n"))
    await here.app.began.wait()
    here.app.go.set()
    received = await asyncio.wait_for(asking, 10)
    assert received.index(b"at last") < received.index(b"400 Bad Request") and received.count(b"HTTP/1.1") == 2


async def test_a_broken_body_that_nobody_wanted_any_more_is_answered_once(here: Here) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(CHUNKED % b"/deaf")
    await reader.readuntil(b"no")
    writer.write(b"nonsense\r\n")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_what_stands_behind_a_body_is_no_header_of_the_request(here: Here) -> None:
    trailers = b"4\r\nbody\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
    received = await here.ask(CHUNKED % b"/headers" + trailers + request("/headers"))
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2 and b"gzip" not in received


HEAD, BODY = (CHUNKED % b"/echo")[:-2], CHUNKED % b"/echo" + b"4\r\nbody\r\n"


TRAILERS = BODY + b"0\r\n"


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (HEAD, b"x: y\r\n"),
        (HEAD + b"x: ", b"y"),
        (TRAILERS, b"x: y\r\n"),
        (TRAILERS + b"x: ", b"y"),
        (BODY + b"4;", b"y"),
    ],
)
async def test_what_is_no_body_has_bounds_wherever_it_stands(here: Here, before: bytes, line: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    for piece in (before, line * (60_000 // len(line)), line * (6_000 // len(line))):
        assert not reader.at_eof()
        writer.write(piece)
        await asyncio.sleep(0.05)  # so that each is read by itself, and nothing is unread when the server hangs up
    received = await asyncio.wait_for(reader.read(), 10)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"65536" in body_of(received)
    writer.close()


async def test_what_is_known_of_one_request_is_not_known_of_the_next(here: Here) -> None:
    received = await here.ask(request("/name", close=False) + request("/name"))
    assert received.count(b"nobody") == 2


async def test_a_request_that_is_answered_unread_does_not_harm_the_next(here: Here) -> None:
    received = await here.ask(request("/deaf", method="POST", body=bytes(1 << 20), close=False) + request("/told"))
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2 and received.endswith(b"b'/told', b'')")


@pytest.mark.parametrize("path", ["/fail", "/silent", "/split", "/short"])
async def test_a_fault_of_the_application_is_told_without_its_text(here: Here, path: str) -> None:
    received = await here.ask(request(path, close=False))
    assert received.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"secret" not in received and b"set-cookie" not in received


async def test_an_answer_that_fails_on_its_way_ends_its_connection(here: Here) -> None:
    received = await here.ask(request("/torn", close=False))
    assert received.startswith(b"HTTP/1.1 200 OK\r\n") and body_of(received) == b"less"


async def test_an_application_does_not_run_ahead_of_a_client_that_does_not_read(here: Here) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port, limit=1024)
    writer.write(request("/large"))
    await reader.readuntil(b"\r\n\r\n")
    assert not here.app.ended.is_set()
    assert len(await reader.read()) > 16 * LARGE
    assert here.app.ended.is_set()
    writer.close()


async def test_what_a_client_that_has_gone_asked_for_stops(here: Here) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(request("/wait"))
    await here.app.began.wait()
    writer.close()
    await asyncio.wait_for(here.app.cancelled.wait(), 20)


async def test_a_connection_that_has_ended_is_no_work_for_the_garbage_collector(here: Here) -> None:
    gc.collect()
    gc.disable()
    try:
        await here.ask(request("/told"))
        async with asyncio.timeout(5):
            while any(isinstance(one, connection.Connection) for one in gc.get_objects()):
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_nor_is_a_request_whose_client_has_hung_up(here: Here) -> None:
    gc.collect()
    gc.disable()
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(request("/wait"))
        await here.app.began.wait()
        writer.close()
        async with asyncio.timeout(5):
            while any(isinstance(one, Exchange) for one in gc.get_objects()):
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_one_request_too_many_is_refused_at_once() -> None:
    async with served(most=1) as here:
        first = asyncio.create_task(here.ask(request("/wait")))
        await here.app.began.wait()
        assert (await here.ask(request("/told"))).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        here.app.go.set()
        assert body_of(await first) == b"at last"
        assert (await here.ask(request("/told"))).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_who_keeps_silent_between_requests_is_hung_up_on(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(connection, name, 0.1)
    assert (await here.ask(request("/told", close=False))).startswith(b"HTTP/1.1 200 OK\r\n")


async def refused(port: int) -> bool:
    """Nobody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.close()
    return False


async def test_a_server_that_stops_answers_what_it_was_asked_and_asks_to_come_no_more(here: Here) -> None:
    asking = asyncio.create_task(here.ask(request("/wait", close=False)))
    await here.app.began.wait()
    stopped = asyncio.create_task(here.server.stop(20))
    while not await refused(here.port):
        await asyncio.sleep(0.01)
    here.app.go.set()
    received = await asking
    assert b"\r\nconnection: close\r\n" in received and body_of(received) == b"at last"
    await asyncio.wait_for(stopped, 20)


async def test_an_idle_connection_does_not_keep_a_server_from_stopping(here: Here) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(request("/told", close=False))
    await reader.readuntil(b"b'')")
    await asyncio.wait_for(here.server.stop(60), 20)
    assert await reader.read() == b""
    writer.close()


async def test_who_asked_too_much_of_a_server_that_stops_is_told_so(here: Here) -> None:
    asking = asyncio.create_task(here.ask(request("/wait", close=False)))
    await here.app.began.wait()
    await here.server.stop(0.1)
    assert (await asking).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert here.app.cancelled.is_set()
