"""Which of a thousand things is on a photograph? (book 5.4.3)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from plugins.contract import (
    Array,
    Config,
    Data,
    Datasets,
    Metric,
    OutputField,
    Plugin,
    Samples,
    Signature,
    Task,
    Untrained,
    Variant,
)
from plugins.explanations import Explained
from plugins.imagenet.data import load, load_labels
from plugins.imagenet.model import LAYERS, VIEW, build
from plugins.pictures import EXAMPLE, IMAGE


class Imagenet(Plugin[Config]):
    """Learns nothing here: serves networks that were trained on ImageNet."""

    name = "imagenet"
    title = "A thousand kinds of things"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = Untrained()
    variants = MappingProxyType(
        {
            "efficientnet_lite0": Variant("EfficientNet-Lite0, 4,652,008 parameters"),
            "vgg16": Variant("the book's VGG16, 138,357,544 parameters"),
        }
    )

    def load_data(self, config: Config, datasets: Datasets) -> Data:
        """A few photographs; the names of the classes become the plugin's labels."""
        self.labels = load_labels(datasets)
        return load(datasets)

    def build_model(self, config: Config, variant: str, train: Samples) -> Any:
        """The network of that name, as it was trained."""
        return build(variant, train.assets)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """Guessing."""
        return {"accuracy": 1 / len(self.labels)}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` takes a photograph; so do `explain` and `activations`."""

        def classify(image_bytes: Any) -> Mapping[str, Any]:
            return {"scores": model(VIEW.read(image_bytes), training=False)}

        scores = OutputField(
            name="scores",
            dtype="float32",
            shape=(len(self.labels),),
            content="scores",
            description="chances",
            labels=tuple(self.labels),
        )
        return {
            "classify": Signature(
                Task.CLASSIFY, classify, (IMAGE,), (scores,), {"image_bytes": EXAMPLE}, "What is on the picture?"
            ),
            **Explained(model, VIEW, LAYERS[model.name]).signatures(),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each file as it is."""
        return ({"image_bytes": file} for file in samples.inputs)

    def show(self, sample: Array) -> bytes:
        """What the network sees, as a PNG."""
        return tf.io.encode_png(tf.cast(sample, tf.uint8)).numpy()


PLUGIN = Imagenet()
