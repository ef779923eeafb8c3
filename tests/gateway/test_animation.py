"""Frames as GIF, read back with Pillow."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageSequence

from services.core.errors import InvalidArgument
from services.core.tensors import Array
from services.gateway.animation import animated


def encoded(picture: Array) -> bytes:
    png = BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    return png.getvalue()


def test_grey_frames_play_in_order_for_ever_and_keep_their_levels() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 24, 32), np.uint8)
    with Image.open(BytesIO(animated([encoded(picture) for picture in pictures]))) as gif:
        assert (gif.format, gif.info["loop"]) == ("GIF", 0)
        frames = [(frame.info["duration"], np.asarray(frame.convert("L"))) for frame in ImageSequence.Iterator(gif)]
    assert [duration for duration, _ in frames] == [80] * 5
    np.testing.assert_array_equal([levels for _, levels in frames], pictures)


def test_a_frame_has_its_own_256_colours() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(64).reshape(128, 128)
    pictures = [np.stack([ramp, 0 * ramp, 255 - ramp], axis=-1), np.stack([0 * ramp, ramp, ramp], axis=-1)]
    with Image.open(BytesIO(animated([encoded(picture) for picture in pictures]))) as gif:
        for picture, frame in zip(pictures, ImageSequence.Iterator(gif), strict=True):
            assert np.abs(np.asarray(frame.convert("RGB")).astype(int) - picture).mean() < 3


@pytest.mark.parametrize(
    ("shapes", "told"), [(((8, 9), (8, 9), (4, 5)), r"of one size.*Received: 5 x 4, 9 x 8"), ((), "no picture")]
)
def test_frames_of_different_sizes_and_none_are_refused(shapes: tuple[tuple[int, int], ...], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        animated([encoded(np.zeros(shape, np.uint8)) for shape in shapes])
