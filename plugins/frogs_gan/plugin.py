"""Frogs that never lived: a deep convolutional generative adversarial network (book 8.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.canvas import FRAMES, LARGEST_SHEET, PICTURE, SCALE, SEED, STEPS, png, tiled
from plugins.contract import (
    AllData,
    Array,
    Data,
    Datasets,
    Figure,
    InputField,
    Metric,
    Plugin,
    Samples,
    Signature,
    Task,
    Variant,
)
from plugins.frogs_gan import model as dcgan
from plugins.frogs_gan import vae
from plugins.frogs_gan.data import load
from plugins.frogs_gan.distance import features, frechet_distance
from plugins.frogs_gan.model import LATENT, FrogsConfig, unscaled
from plugins.frogs_gan.pictures import Studio

POINT = InputField(
    name="latent", dtype="float32", shape=(LATENT,), description="a point, usually within 3 of 0 in each number"
)
SIZE = InputField(name="n", dtype="int32", description="frogs a side", default=8, minimum=1, maximum=LARGEST_SHEET)
EXAMPLE = np.random.default_rng(7).normal(size=LATENT).round(2).tolist()
SHOWN = 8  # frogs a side of the report's sheets


class FrogsGan(Plugin[FrogsConfig]):
    """Learns to make photographs of frogs that a second network cannot tell from real ones."""

    name = "frogs_gan"
    title = "Frogs that never lived"
    task = Task.GENERATE_IMAGE
    metric = Metric("frechet_distance", higher_is_better=False, unit="EfficientNet-Lite0 features")
    protocol = AllData()
    config = FrogsConfig
    variants = MappingProxyType(
        {
            "dcgan": Variant("the book's generator and discriminator, in 16 bits", {"mixed_precision": True}),
            "vae": Variant("a small variational autoencoder, to compare with", {"epochs": 100}),
        }
    )

    def load_data(self, config: FrogsConfig, datasets: Datasets) -> Data:
        """The frogs, and the network that judges."""
        return load(datasets)

    def build_model(self, config: FrogsConfig, variant: str, train: Samples) -> Any:
        """The scale of 0 to 255 is known: nothing is adapted."""
        return dcgan.build(config) if variant == "dcgan" else vae.build()

    def baseline(self, data: Data) -> Mapping[str, float]:
        """Pictures whose every number is drawn alike from 0 to 255."""
        noise = np.random.default_rng(0).integers(0, 256, data.test.inputs.shape, dtype=np.uint8)
        return {self.metric.name: frechet_distance(*_seen(noise, data.test))}

    def evaluate(self, model: Any, samples: Samples, config: FrogsConfig) -> Mapping[str, float]:
        """How far as many made frogs are from the real ones; and the real ones' halves from each other."""
        made, real = _seen(_made(model, len(samples)), samples)
        return {
            self.metric.name: frechet_distance(made, real),
            "of_real_halves": frechet_distance(real[::2], real[1::2]),
        }

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """Frogs from a seed, a point, many seeds, or two seeds and the way between them."""
        studio = Studio(model)
        ends = tuple(
            InputField(name=name, dtype="int64", description=f"of the {end} frog", default=default)
            for name, end, default in (("from_seed", "first", 0), ("to_seed", "last", 1))
        )
        drawn = (
            ("generate", studio.generate, (SEED, SCALE), {"seed": 7, "scale": 8}, "A frog for a seed"),
            ("decode", studio.decode, (POINT, SCALE), {"latent": EXAMPLE, "scale": 8}, "The frog at a point"),
            ("sheet", studio.sheet, (SEED, SIZE), {"seed": 0, "n": 2}, "The frogs of n x n seeds"),
        )
        pictures = {
            name: Signature(Task.GENERATE_IMAGE, function, inputs, (PICTURE,), example, description)
            for name, function, inputs, example, description in drawn
        }
        film = Signature(
            Task.GENERATE_IMAGE,
            studio.interpolate,
            (*ends, STEPS, SCALE),
            (FRAMES,),
            {"from_seed": 7, "to_seed": 8, "steps": 5, "scale": 4},
            "Frames from one seed's frog to another's",
        )
        return {**pictures, "interpolate": film}

    def figures(self, model: Any, data: Data, config: FrogsConfig) -> Iterator[Figure]:
        """The book's figure 8.18: made frogs and real ones."""
        yield Figure("made", "Frogs of the first 64 seeds: none ever lived", self.snapshot(model))
        yield Figure("real", "Frogs of CIFAR-10, as many", _sheet(data.test.inputs[: SHOWN**2]))

    def snapshot(self, model: Any) -> bytes:
        """The frogs of the first 64 seeds."""
        sheet = Studio(model).sheet(tf.constant([0], tf.int64), tf.constant([SHOWN]))
        picture: bytes = sheet["image_bytes"].numpy()[0]
        return picture

    def show(self, sample: Array) -> bytes:
        """The frog as a PNG."""
        return _sheet(sample[np.newaxis])


def _seen(pictures: Array, samples: Samples) -> Sequence[Array]:
    """Features [N, 1280] of N pictures and of N real frogs."""
    return np.split(features(np.concatenate([pictures, samples.inputs]), samples.assets), 2)


def _made(model: Any, count: int) -> Array:
    """As many frogs as they are served, uint8 [count, 32, 32, 3]."""
    points = np.random.default_rng(0).normal(size=(count, LATENT)).astype(np.float32)
    frogs: Array = unscaled(model.generator.predict(points, batch_size=50, verbose=0)).numpy()
    return frogs


def _sheet(frogs: Array) -> bytes:
    """Frogs in as square a picture as they fill, as PNG."""
    side = int(np.sqrt(len(frogs)))
    picture: bytes = png(tiled(tf.constant(frogs[: side * side]), side), 1).numpy()
    return picture


PLUGIN = FrogsGan()
