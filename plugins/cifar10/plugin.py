"""What is in this small photograph? One task, four architectures, equal budget (book 7.1.4 and 7.3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from plugins.cifar10.data import load
from plugins.cifar10.model import MAPS, PhotographsConfig, build
from plugins.cifar10_files import LABELS, SIDE
from plugins.contract import (
    Array,
    Data,
    Datasets,
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
from plugins.explanations import Explained
from plugins.pictures import EXAMPLE, IMAGE, View

VIEW = View(SIDE)
PIXELS = InputField(
    name="pixels",
    dtype="float32",
    shape=(SIDE, SIDE, 3),
    description="red, green and blue",
    minimum=0,
    maximum=255,
)
SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(LABELS),), content="scores", description="chances", labels=LABELS
)


def png(pixels: Array) -> bytes:
    """uint8 [height, width, 3] as a PNG."""
    encoded: bytes = tf.io.encode_png(tf.cast(pixels, tf.uint8)).numpy()
    return encoded


class Cifar10(Plugin[PhotographsConfig]):
    """Learns from 32 x 32 pixels, answers photographs of any size."""

    name = "cifar10"
    title = "Ten things in small photographs"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=0.1)
    config = PhotographsConfig
    variants = MappingProxyType(
        {
            "residual": Variant("shortcuts past two or three convolutions, 104,530 parameters"),
            "inception": Variant("two modules of four branches, 102,194 parameters"),
            "separable": Variant("depthwise separable convolutions, 106,858 parameters"),
            "plain": Variant("eight convolutions in a row, 101,618 parameters"),
        }
    )

    def load_data(self, config: PhotographsConfig, datasets: Datasets) -> Data:
        """Pixels and classes, as they come."""
        return load(datasets, config.whole)

    def build_model(self, config: PhotographsConfig, variant: str, train: Samples) -> Any:
        """The network of that name; its learning rate falls over the steps that `train` gives it."""
        return build(config, variant, len(train))

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` takes a picture, `serving_default` pixels; and what the network sees."""

        # Said aloud, because Keras's layers that change a picture by chance do so unless they are told not to.
        def classify(image_bytes: Any) -> Mapping[str, Any]:
            return {"scores": model(VIEW.read(image_bytes), training=False)}

        def classify_pixels(pixels: Any) -> Mapping[str, Any]:
            return {"scores": model(pixels, training=False)}

        small = VIEW.read(tf.constant([EXAMPLE]))[0].numpy().round().tolist()
        return {
            "classify": Signature(
                Task.CLASSIFY, classify, (IMAGE,), (SCORES,), {"image_bytes": EXAMPLE}, "Say what is in a photograph"
            ),
            "serving_default": Signature(
                Task.CLASSIFY, classify_pixels, (PIXELS,), (SCORES,), {"pixels": small}, "The same from 32 x 32 pixels"
            ),
            **Explained(model, VIEW, MAPS).signatures(),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each photograph as a PNG."""
        return ({"image_bytes": png(pixels)} for pixels in samples.inputs)

    def show(self, sample: Array) -> bytes:
        """The photograph as a PNG."""
        return png(sample)


PLUGIN = Cifar10()
