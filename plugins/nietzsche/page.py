"""Text as a picture, for the run's report."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

COLUMNS = 96
SIZE = 15
MARGIN = 16


def page(texts: Mapping[str, str]) -> bytes:
    """One PNG with each text under its heading; the texts' own line breaks become spaces."""
    lines = []
    for heading, text in texts.items():
        lines += [heading, *textwrap.wrap(" ".join(text.split()), COLUMNS), ""]
    font = ImageFont.load_default(SIZE)
    canvas = ImageDraw.Draw(Image.new("L", (1, 1)))
    right, bottom = canvas.multiline_textbbox((MARGIN, MARGIN), "\n".join(lines), font=font)[2:]
    image = Image.new("L", (int(right) + MARGIN, int(bottom) + MARGIN), "white")
    ImageDraw.Draw(image).multiline_text((MARGIN, MARGIN), "\n".join(lines), font=font, fill="black")
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
