"""One client's connection: bytes to requests, one after another, and their answers in that order."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Scope

from services.http.exchange import Exchange, plain

MOST_HEAD_BYTES = 1 << 16  # of a request line and headers; also of what comes of a body without any of its bytes
HEAD_SECONDS, BODY_SECONDS = 10.0, 30.0  # for a whole head; between two pieces of a body
IDLE_SECONDS = 75.0  # between two requests: longer than load balancers keep a connection
_MOST_UNREAD = 1 << 16  # bytes of a body that the application has not asked for
_MOST_KNOWN = 256  # bytes of a target that is worth remembering


@dataclass
class Connections:
    """Those of one server, and what they have in common. At most `most` requests are under way."""

    app: ASGIApp
    most: int | None = None
    all: set[Connection] = field(default_factory=set)
    running: int = 0
    leaving: bool = False


class Connection(asyncio.Protocol):
    """When the client goes away its request under way is cancelled: that leaves the queue it waits in, or its call ends
    at the model server.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._common: Scope = {}
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._head_bytes = 0
        self._coming: Exchange | None = None  # its body is on its way
        self._current: Exchange | None = None  # it is being answered
        self._later: deque[Exchange] = deque()  # sent without waiting for answers
        self._fault = ""  # why no more is read
        self._reading = True
        self._writable: asyncio.Future[None] | None = None  # while the client reads too slowly
        self._due: float | None = None  # when the client must have sent more; None: nothing is wanted of it

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        self.transport: asyncio.Transport = transport
        self._connections.all.add(self)
        self._common = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
            "server": _address(transport, "sockname"),
            "client": _address(transport, "peername"),
        }
        self._due = self._loop.time() + HEAD_SECONDS
        self._looking = self._loop.call_later(HEAD_SECONDS / 2, self._look)

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone, or has all its answers."""
        self._connections.all.discard(self)
        self._parser = None  # which holds on to us: nobody but the garbage collector would see that we are gone
        self._looking.cancel()
        self._later.clear()
        if self._current is not None:
            self._connections.running -= 1
            self._current.leave()
            self._current = None
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """A piece of a request, or of several."""
        if self._fault:
            return
        self._head_bytes += len(data)
        try:
            self._read_requests(data)
        except httptools.HttpParserError:
            if not self._fault:
                self._stop("Invalid HTTP request received.")
        if self._coming is not None:
            self._due = self._loop.time() + BODY_SECONDS
        if (self._in_head or self._coming is not None) and self._head_bytes > MOST_HEAD_BYTES:
            self._stop(f"A request has at most {MOST_HEAD_BYTES} bytes before its body, or behind it. Received: more")

    def _read_requests(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as wish:
                data = self._without_wish() + data[wish.args[0] :]

    def _without_wish(self) -> bytes:
        """The head of a request that would rather speak something else (RFC 9110, 7.8), as one that would not; the
        parser takes what follows such a wish for that other protocol, and not for the request's body.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("This is no proxy")
        lines = [b"%b %b HTTP/%b" % (method, self._url, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", b""])

    def _stop(self, fault: str) -> None:
        """Read no more; what was asked before is answered before the fault is told, and what came in part never is."""
        self._fault, self._due = fault, None
        broken, self._coming = self._coming, None
        if broken is not None and broken in self._later:
            self._later.remove(broken)
        elif broken is not None and broken.complete:
            self.transport.close()  # nothing that is to be answered came after it
        elif broken is not None:
            broken.refuse(fault)
        elif self._current is None:
            self._tell_fault()

    def _tell_fault(self) -> None:
        self.write(plain(HTTPStatus.BAD_REQUEST, self._fault))
        self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers = b"", []
        self._in_head = True
        self._due = self._loop.time() + HEAD_SECONDS

    def on_url(self, url: bytes) -> None:
        """A piece of what it asks for."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers; what comes behind its body has not been looked at and is none (RFC 9110, 6.5.1)."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Its head is here. Others may be before it."""
        self._in_head = False
        if self._parser.should_upgrade():
            return  # it comes again, without that wish
        version, named = self._parser.get_http_version(), dict(self._headers)
        if version == "1.1" and b"host" not in named:
            self._stop("A request of HTTP/1.1 names its host (RFC 9112, 3.2). Received: no header `Host`")
            raise httptools.HttpParserError("No host")
        path, raw_path, query = _known(self._url) if len(self._url) <= _MOST_KNOWN else _parts(self._url)
        scope = {
            **self._common,
            "method": self._parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
        }
        if version != "1.1":
            scope["http_version"] = version
        waits = named.get(b"expect", b"").lower() == b"100-continue"
        self._coming = exchange = Exchange(self, scope, keeps=self._parser.should_keep_alive(), waits=waits)
        if self._current is None:
            self._start(exchange)
        else:
            self._later.append(exchange)
            self._read(False)

    def on_body(self, data: bytes) -> None:
        """A piece of its body, which nobody wants any more when it is answered."""
        exchange, self._head_bytes = self._coming, 0
        if exchange is not None and not exchange.complete:
            exchange.put(data)
            if exchange.size > _MOST_UNREAD:
                self._read(False)

    def on_message_complete(self) -> None:
        """It is here, whole."""
        if self._coming is not None:
            self._coming.end()
        self._coming, self._head_bytes, self._due = None, 0, None
        if self._current is None:  # it was answered before
            self._rest()

    def _start(self, exchange: Exchange) -> None:
        connections = self._connections
        if connections.most is not None and connections.running >= connections.most:
            self.write(plain(HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE.phrase))
            self.transport.close()
            return
        connections.running += 1
        self._current = exchange
        # In a context of its own: this may be the task of the request before.
        exchange.task = self._loop.create_task(exchange.run(connections.app), context=Context())

    def answered(self, exchange: Exchange) -> None:
        """Go on with the next request, if there is to be one."""
        self._connections.running -= 1
        self._current = None
        if not exchange.keeps:
            self.transport.close()
        elif self._later:
            self._start(self._later.popleft())
        elif self._fault:
            self._tell_fault()
        else:
            self._read(True)
            if self._coming is None and not self._in_head:
                self._rest()

    def _rest(self) -> None:
        self._due = self._loop.time() + IDLE_SECONDS

    def hang_up(self) -> None:
        """The answer will never be whole."""
        self.transport.close()

    @property
    def leaving(self) -> bool:
        """The server stops: no answer is to be waited for on this connection any more."""
        return self._connections.leaving

    def write(self, *pieces: bytes) -> None:
        """To the client, without waiting."""
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        else:
            self.transport.writelines(pieces)

    async def writable(self) -> None:
        """Wait until the client has read most of what was written."""
        while self._writable is not None:
            await asyncio.shield(self._writable)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has caught up, or is gone."""
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set_result(None)

    def read_on(self) -> None:
        """More of the request is wanted."""
        self._read(True)

    def _read(self, wanted: bool) -> None:
        if wanted != self._reading and not self.transport.is_closing():
            self._reading = wanted
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    def leave(self) -> None:
        """No more requests after those that are here."""
        if self._current is None:
            self.transport.close()
        else:
            (self._later[-1] if self._later else self._current).keeps = False

    def cut(self) -> None:
        """Do not wait for answers, or for a client that does not read them."""
        if self._current is not None:
            self._current.cut()
        if self._writable is not None or self.transport.is_closing():
            self.transport.abort()
        else:
            self.transport.close()

    def _look(self) -> None:
        """Whether the client has sent what was due; one timer a connection, not one a request."""
        now = self._loop.time()
        if self._due is not None and self._due <= now and self._reading:
            self.transport.close()
        else:
            self._looking = self._loop.call_later(HEAD_SECONDS / 2, self._look)


def _address(transport: asyncio.Transport, what: str) -> tuple[str, int] | None:
    address = transport.get_extra_info(what)
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None


def _parts(target: bytes) -> tuple[str, bytes, bytes]:
    """The path as text and as it was written, and the query."""
    if target.startswith(b"/"):
        raw, _, query = target.partition(b"?")
    else:  # a whole address, or "*"
        parsed: Any = httptools.parse_url(target)
        raw, query = parsed.path or b"", parsed.query or b""
    path = raw.decode("ascii")
    return (unquote(path) if "%" in path else path), raw, query


_known = lru_cache(1024)(_parts)  # the same few are asked again and again
