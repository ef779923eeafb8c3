"""A request and its answer, as an ASGI application sees them (ASGI 3.0, HTTP 2.4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope

_log = logging.getLogger(__name__)

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_SMALL = 1 << 14  # bytes of a body that are cheaper copied behind their head than written by themselves


class Line(Protocol):
    """What an exchange needs of its connection."""

    @property
    def leaving(self) -> bool:
        """The client is to come no more."""

    def write(self, *pieces: bytes) -> None:
        """To the client, without waiting."""

    async def writable(self) -> None:
        """Wait until the client has read most of what was written."""

    def read_on(self) -> None:
        """More of the request is wanted."""

    def answered(self, exchange: Exchange) -> None:
        """The answer is whole."""

    def hang_up(self) -> None:
        """The answer will never be whole."""


class Exchange:
    """`keeps`: the connection is kept when the answer is whole; `waits`: the client sends its body when told to."""

    __slots__ = (
        "_bare", "_begun", "_chunked", "_head", "_left", "_line", "_pieces", "_told", "_waiter", "_waits",
        "complete", "gone", "keeps", "scope", "size", "task", "whole",
    )  # fmt: skip

    def __init__(self, line: Line, scope: Scope, *, keeps: bool, waits: bool) -> None:
        self._line = line
        self.scope = scope
        self.keeps = keeps
        self._waits = waits
        self._pieces: list[bytes] = []
        self.size = 0  # bytes that the application has not read yet
        self.whole = False  # no more of the body comes
        self._told = False  # ... and the application knows it
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""  # leaves with the first piece of the body
        self._begun = False
        self._bare = False  # the answer has no body, whatever the application says
        self._chunked = False
        self._left: int | None = None  # bytes of the body that are still to come; None: the head does not say
        self.complete = False  # the answer is
        self.gone = False  # the client is
        self.task: asyncio.Task[None] | None = None

    def put(self, data: bytes) -> None:
        """A piece of the request's body."""
        self._pieces.append(data)
        self.size += len(data)
        self._wake()

    def end(self) -> None:
        """The request is whole."""
        self.whole = True
        self._wake()

    def leave(self) -> None:
        """The client is gone: what it asked for stops."""
        self.gone = True
        if self.task is not None and not self.complete:
            self.task.cancel()
        self._wake()

    def refuse(self, text: str) -> None:
        """The rest of the request cannot be read."""
        self._fail(HTTPStatus.BAD_REQUEST, text)
        self.leave()

    def cut(self) -> None:
        """The server stops."""
        if not self._begun:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE)
        if self.task is not None:
            self.task.cancel()

    async def run(self, app: ASGIApp) -> None:
        """Have it answered."""
        try:
            await app(self.scope, self.receive, self.send)
            if not (self.complete or self.gone):
                raise RuntimeError("An application answers what it is asked")
        except Exception:  # the edge of the process: a fault of the application's is not the connection's end
            _log.exception("%s %s failed", self.scope["method"], self.scope["path"])
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self.task = None  # one that was cancelled holds on to all this, by its traceback

    async def receive(self) -> Message:
        """A piece of the request's body; when that was read, that the client is gone or has its answer."""
        if self._waits:
            self._waits = False
            self._line.write(_CONTINUE)
        while not (self._pieces or (self.whole and not self._told) or self.complete or self.gone):
            self._line.read_on()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.complete or self.gone:
            return {"type": "http.disconnect"}
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self.size, self._told = [], 0, self.whole
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def send(self, message: Message) -> None:
        """The answer's head, and its body in one piece or many."""
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
            return
        await self._line.writable()
        if not self.gone:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self._begun or self._head:
            raise RuntimeError("An answer has one head")
        self._waits = False
        lines, length, closes = [_STATUS_LINES[status], _date(int(time()))], None, False
        for name, value in headers:
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                closes = value.lower() == b"close"
        self._bare = self.scope["method"] == "HEAD" or status in _WITHOUT_BODY
        self._left = length
        if length is None and not self._bare:
            self._chunked = self.scope["http_version"] == "1.1"
            self.keeps = self.keeps and self._chunked  # else the answer ends with the connection
            lines.append(b"transfer-encoding: chunked\r\n" if self._chunked else b"")
        self.keeps = self.keeps and not closes and not self._line.leaving
        if not (self.keeps or closes):
            lines.append(b"connection: close\r\n")
        self._head = _checked(b"".join(lines), len(lines) - lines.count(b"")) + b"\r\n"

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.complete or not (self._begun or self._head):
            raise RuntimeError("A body stands between the head of an answer and its end")
        head, self._head = self._head, b""
        if self._bare:
            body = b""
        elif self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if more else chunk + b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("A body has as many bytes as its head says")
        self._begun = True
        if len(body) < _SMALL:
            self._line.write(head + body)
        else:
            self._line.write(head, body)
        if not more:
            self.complete = True
            self._wake()
            self._line.answered(self)

    def _fail(self, status: HTTPStatus, text: str = "") -> None:
        """Say so, if nothing was said yet; then there is no more to say."""
        if self.complete or self.gone:
            return
        if not self._begun:
            self._line.write(plain(status, text or status.phrase))
        self._begun = True
        self._line.hang_up()


def plain(status: HTTPStatus, text: str) -> bytes:
    """An answer that no application gives, the last of its connection."""
    head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
    return _STATUS_LINES[status] + _date(int(time())) + head + text.encode("ascii")


def _checked(head: bytes, lines: int) -> bytes:
    """Values may come from elsewhere, and must not add lines of their own."""
    if not head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n") == lines or b"\0" in head:
        raise RuntimeError("A header is one line")
    return head


@lru_cache(1)
def _date(second: int) -> bytes:
    return f"date: {formatdate(second, usegmt=True)}\r\n".encode()
