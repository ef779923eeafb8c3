"""HTTP/2 frames (RFC 9113, 4 and 6): how they are written, and how bytes become frames."""

from __future__ import annotations

import struct
from enum import IntEnum

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITISED = 0x4, 0x8, 0x20
ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 2, 3, 4, 5, 6

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
FIRST_WINDOW = 65_535  # bytes that may be sent before anybody has said how many
LEAST_FRAME = 16_384  # bytes of a frame that everybody takes
LARGEST_WINDOW = LARGEST_STREAM = 2**31 - 1

_HEAD = struct.Struct(">BHBBL")  # the length's 24 bits in two parts, type, flags, stream
_WORD = struct.Struct(">L")
_SETTING = struct.Struct(">HL")
_LAST_AND_REASON = struct.Struct(">LL")


class Reason(IntEnum):
    """Why a stream or a connection ends (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Broken(Exception):
    """The other side does not speak HTTP/2: the connection ends with that reason and this text."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def head_at(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Length, type, flags and stream of the frame that begins there."""
    high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
    return high << 16 | low, kind, flags, stream & LARGEST_STREAM


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    size = len(payload)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """What the other side may do."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def window_update(stream: int, more: int) -> bytes:
    """So many more bytes may be sent; stream 0: in all of them together."""
    return frame(WINDOW_UPDATE, 0, stream, _WORD.pack(more))


def reset(stream: int, reason: Reason) -> bytes:
    """The end of one stream."""
    return frame(RST_STREAM, 0, stream, _WORD.pack(reason))


def goaway(last: int, reason: Reason, text: str = "") -> bytes:
    """The end of a connection; streams up to `last` are still worked on."""
    return frame(GOAWAY, 0, 0, _LAST_AND_REASON.pack(last, reason) + text.encode())


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """What the other side lets us do. Raises Broken."""
    if len(payload) % _SETTING.size:
        raise Broken(Reason.FRAME_SIZE_ERROR, f"SETTINGS has 6 bytes a setting. Received: {len(payload)}")
    return list(_SETTING.iter_unpack(payload))


def word_of(payload: bytes, kind: str) -> int:
    """The 31 bits of a WINDOW_UPDATE or RST_STREAM. Raises Broken."""
    if len(payload) != _WORD.size:
        raise Broken(Reason.FRAME_SIZE_ERROR, f"{kind} has 4 bytes. Received: {len(payload)}")
    number: int = _WORD.unpack(payload)[0]
    return number & LARGEST_STREAM


def goaway_of(payload: bytes) -> tuple[int, int, str]:
    """Last stream, reason and text. Raises Broken."""
    if len(payload) < _LAST_AND_REASON.size:
        raise Broken(Reason.FRAME_SIZE_ERROR, f"GOAWAY has 8 bytes or more. Received: {len(payload)}")
    last, reason = _LAST_AND_REASON.unpack_from(payload)
    return last & LARGEST_STREAM, reason, payload[_LAST_AND_REASON.size :].decode(errors="replace")


def unpadded(payload: bytes, flags: int) -> bytes:
    """Without padding and priority. Raises Broken."""
    before = after = 0
    if flags & PADDED:
        before, after = 1, payload[0] if payload else 1
    if flags & PRIORITISED:
        before += 5
    if before + after > len(payload):
        raise Broken(Reason.PROTOCOL_ERROR, f"Padding fits into its frame. Received: {after} of {len(payload)} bytes")
    return payload[before : len(payload) - after]
