"""Pictures for the run's report."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from plugins.contract import Array

HEIGHT, GAP = 192, 4  # pixels


def png(picture: Array) -> bytes:
    """uint8 [height, width, 3] as PNG."""
    return _encoded(Image.fromarray(picture))


def side_by_side(*files: bytes) -> bytes:
    """Pictures of any size, PNG or JPEG, beside each other and equally high."""
    pictures = [Image.open(BytesIO(file)).convert("RGB") for file in files]
    shown = [picture.resize((round(HEIGHT * picture.width / picture.height), HEIGHT)) for picture in pictures]
    sheet = Image.new("RGB", (sum(one.width + GAP for one in shown) - GAP, HEIGHT), "white")
    left = 0
    for one in shown:
        sheet.paste(one, (left, 0))
        left += one.width + GAP
    return _encoded(sheet)


def _encoded(image: Image.Image) -> bytes:
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
