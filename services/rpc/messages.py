"""gRPC's own layer on HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): messages, statuses, time limits."""

from __future__ import annotations

import math
import re
import struct
import zlib
from urllib.parse import quote_from_bytes, unquote_to_bytes

from services.core.errors import Code

PREFIX_BYTES = 5
LARGEST_MESSAGE = 2**32 - 1  # bytes that a prefix can count
IDENTITY = b"identity"
ENCODINGS = b"identity, deflate, gzip"

_PREFIX = struct.Struct(">?L")
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MOST_UNITS = 99_999_999
_PLAIN = bytes(one for one in range(0x20, 0x7F) if one != ord("%")).decode()  # what stays as it is in a status's text
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


class Status(Exception):
    """How a call ends that does not end well."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text


def prefixed(message: bytes) -> bytes:
    """A message as it travels, not compressed."""
    return _PREFIX.pack(False, len(message)) + message


def prefix_of(data: bytes | bytearray) -> tuple[bool, int]:
    """Whether the message is compressed, and its bytes."""
    compressed, size = _PREFIX.unpack_from(data)
    return bool(compressed), size


def decompressed(message: bytes, encoding: bytes, most: int) -> bytes:
    """The message itself, never more than that many bytes of it. Raises Status."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise Status(Code.INTERNAL, f"A compressed message names how. Received: grpc-encoding {encoding!r}")
    reader = zlib.decompressobj(bits)
    try:
        data = reader.decompress(message, most + 1)
    except zlib.error as error:
        raise Status(Code.INTERNAL, f"A message is what its grpc-encoding says. Received: {error}") from None
    if len(data) > most:
        raise too_large(len(data), most)
    if not reader.eof:
        raise Status(Code.INTERNAL, "A compressed message has its end. Received: one without")
    return data


def too_large(size: int, most: int) -> Status:
    """In the words of gRPC's library."""
    return Status(Code.RESOURCE_EXHAUSTED, f"Received message larger than max ({size} vs. {most})")


def timeout_of(value: bytes) -> float | None:
    """Seconds; None for what is no grpc-timeout."""
    match = _TIMEOUT.fullmatch(value)
    return None if match is None else int(match[1]) * _SECONDS[match[2]]


def timeout_text(seconds: float) -> bytes:
    """A grpc-timeout of at least that."""
    thousandths = max(math.ceil(seconds * 1000), 0)
    if thousandths <= _MOST_UNITS:
        return b"%dm" % thousandths
    return b"%dS" % min(math.ceil(seconds), _MOST_UNITS)


def quoted(text: str) -> bytes:
    """A status's text as a header."""
    return quote_from_bytes(text.encode(), safe=_PLAIN).encode()


def unquoted(value: bytes) -> str:
    """A header as a status's text."""
    return unquote_to_bytes(value).decode(errors="replace")
