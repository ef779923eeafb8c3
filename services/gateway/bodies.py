"""Reads an HTTP request: its body within the limit, its JSON, its time budget, the model its path names."""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

import orjson
from starlette.requests import ClientDisconnect, Request

from services.core.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, received
from services.core.json_size import check_size
from services.core.refs import ModelRef, parse_version

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_HEADER = b"x-request-timeout-seconds"
MOST_SECONDS = 3600.0
LARGE = 1 << 18  # bytes: a megabyte of short strings takes 0.3 s to read


def header(request: Request, name: bytes) -> str | None:
    """The value of the first header of that name, which is in lower case. Starlette's mapping reads all of them."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


async def read_bytes(request: Request, limit: int) -> bytes:
    """The whole body, unpacked if it is gzip. Raises ResourceExhausted as soon as it is known to be larger than `limit`
    bytes, packed or not, and InvalidArgument for what is packed otherwise."""
    body = await _received(request, limit)
    encoding = (header(request, b"content-encoding") or "identity").lower()
    return body if encoding == "identity" else await asyncio.to_thread(_unpacked, body, encoding, limit)


def _unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding != "gzip":
        raise InvalidArgument(f"Content-Encoding is gzip, or none. Received: {received(encoding)}")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            unpacked = packed.read(limit + 1)
    except EOFError:
        raise InvalidArgument(f"The body is gzip, whole. Received: {len(body)} bytes without its end") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InvalidArgument(f"The body is gzip, as Content-Encoding says. Received: {error}") from None
    if len(unpacked) > limit:
        raise _too_large(limit, len(unpacked))
    return unpacked


async def _received(request: Request, limit: int) -> bytes:
    declared = header(request, b"content-length") or "0"
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit, int(declared))
    receive, size = request.receive, 0
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, size)
        if not message.get("more_body", False):
            return b"".join([*chunks, chunk]) if chunks else chunk
        chunks.append(chunk)


def _too_large(limit: int, size: int) -> ResourceExhausted:
    return ResourceExhausted(f"A body has at most {limit} bytes. Received: {size} or more")


async def read_by(function: Callable[P, T], size: int, *arguments: P.args, **named: P.kwargs) -> T:
    """What a function reads of a request of so many bytes: of many beside the event loop, so that others are answered
    meanwhile.
    """
    if size > LARGE:
        return await asyncio.to_thread(function, *arguments, **named)
    return function(*arguments, **named)


def parse_json(body: bytes) -> Any:
    """The document. Raises ResourceExhausted, or InvalidArgument showing the place where it stops being JSON."""
    check_size(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        there = body.decode(errors="replace")[max(error.pos - 10, 0) : error.pos + 20]
        raise InvalidArgument(
            f"The body is JSON, which has no NaN or Infinity. {error.msg}. Received: ...{there}..."
            if body
            else "The body is a JSON object. Received: an empty body"
        ) from None


def seconds_allowed(request: Request, default: float) -> float:
    """The time budget the client states, or the default. Raises InvalidArgument, or DeadlineExceeded for none left."""
    stated = header(request, TIMEOUT_HEADER)
    if stated is None:
        return default
    try:
        seconds = float(stated)
    except ValueError:
        seconds = float("nan")
    if seconds <= 0:
        raise DeadlineExceeded(
            f"A request comes with time left to answer it. Received: {TIMEOUT_HEADER.decode()} {stated}"
        )
    if not seconds <= MOST_SECONDS:
        raise InvalidArgument(
            f"{TIMEOUT_HEADER.decode()} is a number of seconds up to {MOST_SECONDS:g}. Received: {received(stated)}"
        )
    return seconds


def ref_of(request: Request) -> ModelRef:
    """The model, and version or label, that the path names. Raises InvalidArgument for names that cannot be."""
    path = request.scope["path_params"]
    return _ref(path["model"], path.get("version"), path.get("label"))


@lru_cache(1024)  # the same few are asked again and again
def _ref(model: str, version: str | None, label: str | None) -> ModelRef:
    return ModelRef(model, None if version is None else parse_version(version), label)
