"""Photographs to paint anew, the picture whose style they get, and the weights of the network that judges."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from plugins.contract import Array, Config, Data, Dataset, Datasets, InvalidArgument, Samples
from plugins.own_files import own_file
from plugins.photographs import (
    ALLIUM,
    ASTRONAUT,
    CAT,
    COFFEE,
    FLOWER,
    HUBBLE,
    MOUNTAINS,
    ROCKET,
    SHEEP,
    TOWER,
    read_file,
)
from plugins.pictures import View
from plugins.vgg16 import VGG16
from plugins.weights import if_reached, named_after

LEARNED, HELD_OUT = (ASTRONAUT, FLOWER, ALLIUM, SHEEP), (CAT, COFFEE, TOWER, MOUNTAINS, ROCKET, HUBBLE)
CROP = 96  # pixels a side of what `fast` learns from
JUDGED = 256  # pixels a side of a picture whose losses `fast` balances
VIEW = View(side=JUDGED)  # what of a held-out photograph it is judged on
PETALS = (180, 80, 450, 350)  # of FLOWER: left, top, right, bottom
LARGEST_STYLE = 256  # pixels; a style's strokes are as large as they are here


class StyleConfig(Config):
    """Hyper-parameters of `fast`; the others learn nothing."""

    epochs: int = 4
    batch_size: int = 1
    crops: int = Field(default=2000, ge=10, description="squares cut from photographs to learn from")
    learning_rate: float = Field(default=5e-3, gt=0, description="in the first step; it falls to 0 until the last")
    content_weight: float = Field(
        default=100, gt=0, description="of the photograph; by the book's 0.025 a network learns to forget it"
    )
    style: str | None = Field(
        default=None,
        description="the picture whose style is learned: a path, a name in the mirror or an https:// address; "
        "none: the petals of a dahlia",
    )


def load(config: StyleConfig, datasets: Datasets) -> Data:
    """Crops uint8 [N, 96, 96, 3] to learn from; photographs as files to be judged on.

    Assets: `style`, uint8 [height, width, 3], and VGG16's weights as `vgg16/...`, if they can be had.
    """
    crops = _crops([_pixels(datasets, photograph) for photograph in LEARNED], config)
    files = np.array([datasets.fetch(photograph)["bytes"].tobytes() for photograph in HELD_OUT], object)
    style = {"style": read_style(datasets, config.style)}
    weights = named_after("vgg16", if_reached(datasets, VGG16))
    return Data(
        train=Samples(crops, np.zeros(len(crops), np.float32), assets={**style, **weights}),
        test=Samples(files, np.zeros(len(files), np.float32), read=VIEW.read, assets=style),
    )


def read_style(datasets: Datasets, own: str | None = None) -> Array:
    """Uint8 [height, width, 3], at most 256 pixels a side. Raises Unavailable, or InvalidArgument for no picture."""
    content = datasets.fetch(own_file(own, read_file, suffix="") if own else FLOWER)["bytes"].tobytes()
    try:
        picture = Image.open(BytesIO(content)).convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InvalidArgument(f"A style is a picture, such as a JPEG or a PNG. Received: {own}: {error}") from None
    picture = picture if own else picture.crop(PETALS)
    picture.thumbnail((LARGEST_STYLE, LARGEST_STYLE))
    return np.asarray(picture)


def _pixels(datasets: Datasets, photograph: Dataset) -> Image.Image:
    return Image.open(BytesIO(datasets.fetch(photograph)["bytes"].tobytes())).convert("RGB")


def _crops(photographs: list[Image.Image], config: StyleConfig) -> Array:
    """Squares from anywhere, of any size that fits, half of them mirrored, red, green and blue in any order."""
    rng = np.random.default_rng(config.seed)
    return np.stack([_crop(photographs[number % len(photographs)], rng) for number in range(config.crops)])


def _crop(photograph: Image.Image, rng: np.random.Generator) -> Array:
    side = int(rng.integers(CROP, min(photograph.size) + 1))
    left, top = (int(rng.integers(0, length - side + 1)) for length in photograph.size)
    crop = np.asarray(photograph.resize((CROP, CROP), box=(left, top, left + side, top + side)))
    return crop[:, :: rng.choice((1, -1)), rng.permutation(3)]
