"""The first bytes of a picture tell its size, and anything else is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidArgument
from services.gateway.pictures import check_picture
from tests.gateway.models import png

JFIF = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def jpeg(width: int, height: int, before: bytes = JFIF, frame: int = 0xC0) -> bytes:
    """A JPEG's head: what comes before the frame, and the frame."""
    return b"\xff\xd8" + before + struct.pack(">BBHBHHB", 0xFF, frame, 17, 8, height, width, 3) + bytes(10)


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.booleans())
def test_the_size_is_read_from_the_head(width: int, height: int, is_png: bool) -> None:
    data = png(width, height) if is_png else jpeg(width, height)
    check_picture(data, "it", width * height)
    with pytest.raises(InvalidArgument, match=f"at most {width * height - 1} pixels. Received: {width} x {height}"):
        check_picture(data, "it", width * height - 1)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        JFIF * 3,
        b"\xff\xdb\x00\x04ab" + b"\xff\xc4\x00\x04ab",
        b"\xff\xff\xff\xe1\x00\x06EXIF",
        b"\xff\xd0\xff\x01" + JFIF,
    ],
)
@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xCF])
def test_segments_before_the_frame_are_skipped(before: bytes, frame: int) -> None:
    data = jpeg(300, 200, JFIF + before, frame)
    with pytest.raises(InvalidArgument, match="300 x 200"):
        check_picture(data, "it", 1)


def test_a_long_run_of_fill_bytes_is_no_picture() -> None:
    with pytest.raises(InvalidArgument, match="it is an encoded PNG or JPEG picture"):
        check_picture(b"\xff\xd8" + b"\xff" * 10_000 + jpeg(3, 2)[2:], "it", 10**6)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_picture(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match="it is an encoded PNG or JPEG picture"):
        check_picture(data, "it", 10**6)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x00"]))
def test_a_magic_number_with_anything_behind_it_ends_in_an_answer(data: bytes, magic: bytes) -> None:
    try:
        check_picture(magic + data, "it", 10**6)
    except InvalidArgument:
        return
    assert len(magic + data) > 10
