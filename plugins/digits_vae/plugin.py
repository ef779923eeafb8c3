"""Digits drawn from a plane: a variational autoencoder with two latent numbers (book 8.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from plugins.canvas import FRAMES, PICTURE, SCALE, SEED, STEPS
from plugins.contract import (
    Array,
    Data,
    Datasets,
    Figure,
    HoldOut,
    InputField,
    Metric,
    OutputField,
    Plugin,
    Samples,
    Signature,
    Task,
    Variant,
)
from plugins.digits_vae.data import load, mean_image_nats
from plugins.digits_vae.figures import latent_plane, png, reconstructions, sheet
from plugins.digits_vae.model import LATENT, VaeConfig, build
from plugins.digits_vae.pictures import LARGEST_SHEET, Studio

SIZE = InputField(name="n", dtype="int32", description="digits a side", default=15, minimum=1, maximum=LARGEST_SHEET)
# A one: a light stroke on the dark.
EXAMPLE = np.pad(np.full((20, 3), 255, np.uint8), ((4, 4), (12, 13)))
IMAGE = InputField(
    name="image_bytes", dtype="string", content="image", description="PNG or JPEG of one digit that fills the picture"
)


class DigitsVae(Plugin[VaeConfig]):
    """Learns to describe a digit by two numbers, and serves both ways: numbers to picture, picture to numbers."""

    name = "digits_vae"
    title = "Digits drawn from a plane"
    task = Task.GENERATE_IMAGE
    metric = Metric("negative_elbo", higher_is_better=False, unit="nats per image")
    protocol = HoldOut(validation=1 / 12)
    config = VaeConfig
    variants = MappingProxyType(
        {"convnet": Variant("the book's convolutional encoder and decoder, two latent numbers")}
    )

    def load_data(self, config: VaeConfig, datasets: Datasets) -> Data:
        """MNIST."""
        return load(datasets)

    def build_model(self, config: VaeConfig, variant: str, train: Samples) -> Any:
        """The scale of 0 to 255 is known: nothing is adapted."""
        return build(config)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """Draw the mean training image for every digit."""
        return {self.metric.name: mean_image_nats(data.train.inputs, data.test.inputs)}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """Pictures from a seed, a point, the whole plane or a line through it; and the way back."""
        studio = Studio(model)
        ends = (_point("from_latent"), _point("to_latent"))
        return {
            "generate": _drawing(studio.generate, (SEED, SCALE), {"seed": 7, "scale": 8}, "A digit for a seed"),
            "decode": _drawing(
                studio.decode, (_point("latent"), SCALE), {"latent": [0.0, 1.0], "scale": 8}, "The digit at a point"
            ),
            "sheet": _drawing(studio.sheet, (SIZE,), {"n": 15}, "The plane as n x n digits"),
            "interpolate": Signature(
                Task.GENERATE_IMAGE,
                studio.interpolate,
                (*ends, STEPS, SCALE),
                (FRAMES,),
                {"from_latent": [-1.5, 0.0], "to_latent": [1.5, 0.0], "steps": 10, "scale": 4},
                "Frames from one point to another",
            ),
            "encode": Signature(
                Task.REGRESS,
                studio.encode,
                (IMAGE,),
                tuple(OutputField(name=name, dtype="float32", shape=(LATENT,)) for name in ("z_mean", "z_log_var")),
                {"image_bytes": png(EXAMPLE)},
                "Where a picture lies on the plane",
            ),
        }

    def figures(self, model: Any, data: Data, config: VaeConfig) -> Iterator[Figure]:
        """The book's figure 8.14, the plane with the test digits on it, and digits beside their reconstructions."""
        yield Figure("sheet", "15 x 15 digits at the quantiles of the prior, 5 % to 95 % each way", sheet(model))
        yield Figure("latent", "5,000 test digits at their z_mean, coloured by digit", latent_plane(model, data.test))
        yield Figure(
            "reconstructions",
            "Test digits (odd rows) and their reconstructions (even rows)",
            reconstructions(model, data.test),
        )

    def snapshot(self, model: Any) -> bytes:
        """The plane."""
        return sheet(model)

    def show(self, sample: Array) -> bytes:
        """The digit."""
        return png(sample)


def _drawing(function: Any, inputs: tuple[InputField, ...], example: Mapping[str, Any], description: str) -> Signature:
    return Signature(Task.GENERATE_IMAGE, function, inputs, (PICTURE,), example, description)


def _point(name: str) -> InputField:
    return InputField(
        name=name, dtype="float32", shape=(LATENT,), description="a point of the plane, usually within 3 of 0"
    )


PLUGIN = DigitsVae()
