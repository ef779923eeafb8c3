"""Faces and their smiles: a variational autoencoder that can be edited along a concept (book 8.4.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from plugins.autoencoder import mean_picture_nats
from plugins.canvas import LARGEST_SHEET, SEED
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
from plugins.faces_vae.data import DRAWN, load
from plugins.faces_vae.figures import drawn
from plugins.faces_vae.model import FacesConfig, FacesVae, build
from plugins.faces_vae.pictures import Album, example_face, read
from plugins.panels import encoded_means, painted, png
from plugins.studio import drawing

SIZE = InputField(name="n", dtype="int32", description="faces a side", default=5, minimum=1, maximum=LARGEST_SHEET)


class Faces(Plugin[FacesConfig]):
    """Learns to describe a face by 32 numbers, and in which direction of them a smile lies.

    Three convolutions each way, whatever the faces are of.
    """

    name = "faces_vae"
    title = "Faces that learn to smile"
    task = Task.GENERATE_IMAGE
    metric = Metric("negative_elbo", higher_is_better=False, unit="nats per image")
    protocol = HoldOut(validation=1 / 10)
    config = FacesConfig
    variants = MappingProxyType(
        {
            "drawn": Variant("faces that a few numbers draw: nobody's, and the same for everybody", {"faces": DRAWN}),
            "photographs": Variant("faces of a mirror, or one's own"),
        }
    )

    def load_data(self, config: FacesConfig, datasets: Datasets) -> Data:
        """Drawn faces, those of a mirror, or one's own."""
        return load(config.faces, datasets)

    def build_model(self, config: FacesConfig, variant: str, train: Samples) -> Any:
        """The scale of 0 to 255 is known: nothing is adapted."""
        return build(config)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """Draw the mean training face for every face."""
        return {self.metric.name: mean_picture_nats(data.train.inputs, data.test.inputs)}

    def evaluate(self, model: FacesVae, samples: Samples, config: FacesConfig) -> Mapping[str, float]:
        """The bound, and what the judge says of the faces that do not smile: reconstructed, and moved by one smile."""
        serious = samples.take(np.flatnonzero(samples.targets == 0))
        z_mean, smile = encoded_means(model, serious.inputs), np.asarray(model.concepts.vectors())[0]
        before, after = (float(model.smiling(painted(model, points)).mean()) for points in (z_mean, z_mean + smile))
        return {
            **super().evaluate(model, samples, config),
            "judge_accuracy": float(np.mean(model.smiling(samples.inputs) == samples.targets)),
            "smiling_reconstructed": before,
            "smiling_edited": after,
            "smiling_ratio": after / max(before, 1 / len(serious)),  # of none: as if it were one
        }

    def signatures(self, model: FacesVae) -> Mapping[str, Signature]:
        """Pictures from a seed, a point, a line or a face, many at once; and the way back."""
        album = Album(model, read, png(example_face()))
        sheet = drawing(album.sheet, (SEED, SIZE), {"seed": 1, "n": 5}, "n x n faces for seeds that follow each other")
        return {**album.signatures(), "sheet": sheet}

    def figures(self, model: FacesVae, data: Data, config: FacesConfig) -> Iterator[Figure]:
        """New faces, reconstructions, smiles and the latent space."""
        yield from drawn(model, data.test)

    def show(self, sample: Array) -> bytes:
        """The face."""
        return png(sample)


PLUGIN = Faces()
