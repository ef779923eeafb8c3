"""Pictures for the run's report."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from plugins.contract import Array, Samples
from plugins.digits_vae.model import SIDE, scaled
from plugins.digits_vae.pictures import Studio

COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
PLANE = 720
LEGEND = 28


def png(picture: Array) -> bytes:
    """uint8 [height, width] or [height, width, 3] as PNG."""
    return _encoded(Image.fromarray(picture))


def sheet(model: Any) -> bytes:
    """The 15 x 15 digits of listing 8.28, as the endpoint draws them."""
    pictures: Array = Studio(model).sheet(np.array([15], np.int32))["image_bytes"].numpy()
    return bytes(pictures[0])


def latent_plane(model: Any, samples: Samples, count: int = 5000) -> bytes:
    """A dot for each sample at its z_mean, second number upwards, coloured by digit; the reach is in the corner."""
    z_mean = model.encoder.predict(np.asarray(scaled(samples.inputs[:count])), batch_size=500, verbose=0)[0]
    image = Image.new("RGB", (PLANE, PLANE + LEGEND), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    middle, reach = PLANE / 2, np.ceil(np.percentile(np.abs(z_mean), 99.5))
    canvas.line((0, middle, PLANE, middle), "#dddddd")
    canvas.line((middle, 0, middle, PLANE), "#dddddd")
    for (x, y), digit in zip(z_mean * middle / reach, samples.targets[:count], strict=True):
        canvas.circle((middle + x, middle - y), 2, COLOURS[digit])
    canvas.text((4, 4), f"{-reach:.0f} to {reach:.0f} each way", "black", font)
    for digit, colour in enumerate(COLOURS):
        canvas.text((PLANE * (digit + 0.5) / 10, PLANE), str(digit), colour, font)
    return _encoded(image)


def reconstructions(model: Any, samples: Samples, rows: int = 4, columns: int = 15) -> bytes:
    """Rows of digits, each above its decoding from z_mean."""
    originals = samples.inputs[: rows * columns]
    z_mean, _ = model.encoder(scaled(originals))
    decoded = np.round(np.asarray(model.decoder(z_mean))[..., 0] * 255).astype(np.uint8)
    pairs = np.stack([originals.reshape(rows, columns, SIDE, SIDE), decoded.reshape(rows, columns, SIDE, SIDE)], axis=1)
    return png(pairs.transpose(0, 1, 3, 2, 4).reshape(rows * 2 * SIDE, columns * SIDE))


def _encoded(image: Image.Image) -> bytes:
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
