"""Pictures side by side, for the reports of plugins that draw."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from plugins.autoencoder import VariationalAutoencoder, scaled
from plugins.contract import Array

COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
PLANE, LEGEND = 720, 28  # pixels


def encoded(image: Image.Image) -> bytes:
    """As PNG."""
    png = BytesIO()
    image.save(png, "PNG")
    return png.getvalue()


def png(picture: Array, scale: int = 1) -> bytes:
    """uint8 [height, width] or [height, width, 3] as PNG, every pixel `scale` x `scale`."""
    return encoded(Image.fromarray(picture.repeat(scale, axis=0).repeat(scale, axis=1)))


def tiled(pictures: Array) -> Array:
    """Grey pictures, uint8 [rows, columns, height, width], as one [rows * height, columns * width]."""
    rows, columns, height, width = pictures.shape
    return pictures.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def scatter(points: Array, classes: Array, labels: Sequence[str]) -> bytes:
    """A dot for each point [N, 2], the second number upwards, coloured by class; the reach is in the corner."""
    image = Image.new("RGB", (PLANE, PLANE + LEGEND), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    middle, reach = PLANE / 2, np.ceil(np.percentile(np.abs(points), 99.5))
    canvas.line((0, middle, PLANE, middle), "#dddddd")
    canvas.line((middle, 0, middle, PLANE), "#dddddd")
    for (x, y), number in zip(points * middle / reach, classes, strict=True):
        canvas.circle((middle + x, middle - y), 2, COLOURS[number])
    canvas.text((4, 4), f"{-reach:.0f} to {reach:.0f} each way", "black", font)
    canvas.rectangle((0, PLANE, PLANE, PLANE + LEGEND), "white")  # over dots that lie beyond the reach
    for number, label in enumerate(labels):
        canvas.text((PLANE * (number + 0.5) / len(labels), PLANE), label, COLOURS[number], font, "ma")
    return encoded(image)


def painted(model: VariationalAutoencoder, points: Any) -> Array:
    """Grey pictures at latent points, uint8 [N, height, width]."""
    return np.round(np.asarray(model.decoder(points))[..., 0] * 255).astype(np.uint8)


def encoded_means(model: VariationalAutoencoder, pictures: Array) -> Array:
    """z_mean [N, numbers] of pictures of 0 to 255."""
    z_mean, _ = model.encoder.predict(np.asarray(scaled(pictures)), batch_size=500, verbose=0)
    return np.asarray(z_mean)


def reconstructions(model: VariationalAutoencoder, originals: Array, rows: int) -> Array:
    """`rows` rows of grey pictures, each above its decoding from z_mean, as one; `originals` is uint8 [N, h, w]."""
    grid = (rows, -1, *originals.shape[1:])
    pairs = np.stack([originals.reshape(grid), painted(model, encoded_means(model, originals)).reshape(grid)], axis=1)
    return tiled(pairs.reshape(rows * 2, *pairs.shape[2:]))
