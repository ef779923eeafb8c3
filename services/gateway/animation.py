"""Frames as one GIF, for a browser or a letter to play."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from services.core.errors import InvalidArgument

MOST_PIXELS = 32_000_000
FRAME_MS = 80  # 12.5 frames a second; GIF counts in hundredths of a second (GIF89a, 23)


def animated(pictures: Sequence[bytes]) -> bytes:
    """PNG or JPEG pictures as a GIF that plays them in order, again and again.

    Grey levels stay as they are; colours become the 256 that fit a frame best. A million pixels in colour take
    0.3 s, so it is for a thread. Raises InvalidArgument unless there are pictures, all of one size.
    """
    from PIL import Image  # here, so that a gateway that is asked for none starts as quickly

    frames = [Image.open(BytesIO(picture)) for picture in pictures]
    pixels = sum(frame.width * frame.height for frame in frames)
    if pixels > MOST_PIXELS:
        raise InvalidArgument(f"An animation has at most {MOST_PIXELS} pixels in all its frames. Received: {pixels}")
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        told = ", ".join(f"{width} x {height}" for width, height in sizes) or "no picture"
        raise InvalidArgument(f"Accept: image/gif is for pictures of one size; ask for JSON. Received: {told}")
    first, *others = frames
    encoded = BytesIO()
    first.save(encoded, "GIF", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    return encoded.getvalue()
