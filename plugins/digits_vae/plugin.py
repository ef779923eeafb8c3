"""Digits drawn from a plane: a variational autoencoder with two latent numbers (book 8.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from plugins.autoencoder import mean_picture_nats
from plugins.contract import (
    Array,
    Data,
    Datasets,
    Figure,
    HoldOut,
    InputField,
    Metric,
    Plugin,
    Samples,
    Signature,
    Task,
    Variant,
)
from plugins.digits_vae.data import load
from plugins.digits_vae.figures import drawn, sheet
from plugins.digits_vae.model import VaeConfig, build
from plugins.digits_vae.pictures import LARGEST_SHEET, Plane, read
from plugins.panels import png
from plugins.studio import drawing

SIZE = InputField(name="n", dtype="int32", description="digits a side", default=15, minimum=1, maximum=LARGEST_SHEET)
# A one: a light stroke on the dark.
EXAMPLE = np.pad(np.full((20, 3), 255, np.uint8), ((4, 4), (12, 13)))


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
        return {self.metric.name: mean_picture_nats(data.train.inputs, data.test.inputs)}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """Pictures from a seed, a point, the whole plane or a line through it; and the way back."""
        plane = Plane(model, read, png(EXAMPLE))
        return {**plane.signatures(), "sheet": drawing(plane.sheet, (SIZE,), {"n": 15}, "The plane as n x n digits")}

    def figures(self, model: Any, data: Data, config: VaeConfig) -> Iterator[Figure]:
        """The sheet, the plane and reconstructions."""
        yield from drawn(model, data.test)

    def snapshot(self, model: Any) -> bytes:
        """The plane."""
        return sheet(model)

    def show(self, sample: Array) -> bytes:
        """The digit."""
        return png(sample)


PLUGIN = DigitsVae()
