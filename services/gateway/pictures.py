"""Looks at the first bytes of an encoded picture, so that what is no picture, or a bomb, never reaches a decoder."""

from __future__ import annotations

import struct

from services.core.errors import InvalidArgument

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers hold the size; C4, C8 and CC in this range are tables (ITU-T T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_STEPS = 4096  # segments and fill bytes before the frame; real files have some dozen
# Markers without a length after them: RST0-7, SOI, EOI, TEM.
_BARE = frozenset(range(0xD0, 0xDA)) | {0x01}


def check_picture(data: bytes, what: str, most_pixels: int) -> None:
    """Raise InvalidArgument unless `data` starts as a PNG or JPEG of at most `most_pixels`; `what` names the field."""
    size = _png_size(data) if data.startswith(_PNG) else _jpeg_size(data) if data.startswith(_JPEG) else None
    if size is None:
        raise InvalidArgument(
            f"{what} is an encoded PNG or JPEG picture. Received: {len(data)} bytes that start with {data[:12]!r}"
        )
    width, height = size
    if width * height > most_pixels:
        raise InvalidArgument(f"{what} has at most {most_pixels} pixels. Received: {width} x {height}")


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from IHDR, which always comes first (PNG specification, 5.6)."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the start-of-frame segment (ITU-T T.81, B.2.2)."""
    at = 2
    for _ in range(_MOST_STEPS):
        if at + 9 > len(data) or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
