"""Is it a cat or a dog? (book 5.2 and 5.3)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from plugins.cats_vs_dogs.data import LABELS, VALIDATION, load
from plugins.cats_vs_dogs.model import VIEW, CatsConfig, build, frozen_end, layers_of
from plugins.contract import (
    Array,
    BookFigure,
    Data,
    Datasets,
    HoldOut,
    Metric,
    OutputField,
    Plugin,
    Samples,
    Signature,
    Task,
    Variant,
)
from plugins.explanations import Explained
from plugins.pictures import EXAMPLE, IMAGE

SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(LABELS),), content="scores", description="chances", labels=LABELS
)


class CatsVsDogs(Plugin[CatsConfig]):
    """Learns from 150 x 150 pixels, answers photographs of any size."""

    name = "cats_vs_dogs"
    title = "Cats and dogs"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=VALIDATION, in_order=True)  # the book's split
    config = CatsConfig
    labels = LABELS
    variants = MappingProxyType(
        {
            "vgg16_features": Variant(
                "a small head on what VGG16 sees, 2,097,665 trained parameters",
                settings={"epochs": 30, "learning_rate": 2e-5},
                book=BookFigure(metric="accuracy", value=0.90, section="5.3.1"),
            ),
            "vgg16_augmented": Variant(
                "a small head on what VGG16 sees of changed pictures",
                settings={"epochs": 15, "learning_rate": 2e-5, "copies": 2},
                book=BookFigure(metric="accuracy", value=0.96, section="5.3.1"),
            ),
            "vgg16_fine_tuned": Variant(
                "the same, and the last block of VGG16 learns too: 9,177,089 trained parameters",
                settings={"epochs": 4, "learning_rate": 1e-5, "copies": 2},
                book=BookFigure(metric="accuracy", value=0.97, section="5.3.2"),
            ),
            "from_scratch": Variant(
                "four convolutions that know nothing yet, 3,453,121 parameters",
                settings={"epochs": 12},
                book=BookFigure(metric="accuracy", value=0.71, section="5.2.4"),
            ),
            "augmented": Variant(
                "the same on smaller pictures, changed by chance, and with dropout, 1,290,433 parameters",
                settings={"epochs": 50, "batch_size": 32, "learning_rate": 5e-4},
                book=BookFigure(metric="accuracy", value=0.82, section="5.2.5"),
            ),
        }
    )

    def load_data(self, config: CatsConfig, datasets: Datasets) -> Data:
        """Pixels to learn from, JPEG files to be judged on."""
        return load(config, datasets)

    def build_model(self, config: CatsConfig, variant: str, train: Samples) -> Any:
        """The network of that name; VGG16's weights come with `train`."""
        return build(config, variant, train)

    def frozen(self, model: Any) -> Any | None:
        """VGG16, or what of it is not tuned."""
        end = frozen_end(model.name)
        return keras.Model(model.input, model.get_layer(end).output) if end else None

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` takes a photograph; so do `explain` and `activations`."""

        def classify(image_bytes: Any) -> Mapping[str, Any]:
            dog = model(VIEW.read(image_bytes), training=False)  # nothing is changed by chance
            return {"scores": tf.concat([1 - dog, dog], axis=1)}

        return {
            "classify": Signature(
                Task.CLASSIFY, classify, (IMAGE,), (SCORES,), {"image_bytes": EXAMPLE}, "Cat or dog?"
            ),
            **Explained(model, VIEW, layers_of(model.name)).signatures(),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each file as it is."""
        return ({"image_bytes": jpeg} for jpeg in samples.inputs)

    def show(self, sample: Array) -> bytes:
        """The picture as a PNG."""
        return tf.io.encode_png(tf.cast(sample, tf.uint8)).numpy()


PLUGIN = CatsVsDogs()
