"""Which digit did someone write? (book 2.1, 5.1 and 7.3.1)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from plugins.contract import (
    Array,
    BookFigure,
    Choice,
    Data,
    Datasets,
    HoldOut,
    InputField,
    Metric,
    OutputField,
    Plugin,
    Range,
    Samples,
    Signature,
    Task,
    Variant,
)
from plugins.explanations import Explained
from plugins.mnist.data import LABELS, load
from plugins.mnist.model import MAPS, SIDE, DigitsConfig, build
from plugins.mnist.raw import DigitView, read_digits

IMAGE = InputField(
    name="image_bytes",
    dtype="string",
    content="image",
    description="PNG or JPEG of one digit, of any size, dark on light or light on dark",
)
PIXELS = InputField(
    name="pixels",
    dtype="float32",
    shape=(SIDE, SIDE),
    description="grey levels, 0 is background",
    minimum=0,
    maximum=255,
)
SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(LABELS),), content="scores", description="chances", labels=LABELS
)
# A one: a light stroke on the dark.
EXAMPLE = np.pad(np.full((20, 3), 255, np.uint8), ((4, 4), (12, 13)))


def png(pixels: Array) -> bytes:
    """uint8 [height, width] as a grey PNG."""
    encoded = BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()


class Mnist(Plugin[DigitsConfig]):
    """Learns from 28 x 28 pixels, answers pictures of any size."""

    name = "mnist"
    title = "Handwritten digits"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=1 / 12)
    config = DigitsConfig
    search = MappingProxyType({"learning_rate": Range(2e-4, 5e-3, log=True), "batch_size": Choice((32, 64, 128, 256))})
    variants = MappingProxyType(
        {
            "dense": Variant(
                "one hidden layer of 512 units, 407,050 parameters",
                settings={"epochs": 8, "batch_size": 128},
                book=BookFigure(metric="accuracy", value=0.9785, section="2.1"),
            ),
            "convnet": Variant(
                "three convolutions, 93,322 parameters",
                settings={"epochs": 6, "batch_size": 64},
                book=BookFigure(metric="accuracy", value=0.9908, section="5.1"),
            ),
            "separable": Variant(
                "the convnet with depthwise separable convolutions, 44,787 parameters",
                settings={"epochs": 6, "batch_size": 64},
            ),
            "batch_normalised": Variant(
                "the convnet with batch normalisation, 94,218 parameters",
                settings={"epochs": 6, "batch_size": 64},
            ),
        }
    )

    def load_data(self, config: DigitsConfig, datasets: Datasets) -> Data:
        """Pixels and digits, as they come."""
        return load(datasets)

    def build_model(self, config: DigitsConfig, variant: str, train: Samples) -> Any:
        """The network of that name; its learning rate falls over the steps that `train` gives it."""
        return build(config, variant, len(train))

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` takes a picture, `serving_default` pixels; what the network sees can be shown."""

        def classify(image_bytes: Any) -> Mapping[str, Any]:
            return {"scores": model(read_digits(image_bytes))}

        def classify_pixels(pixels: Any) -> Mapping[str, Any]:
            return {"scores": model(pixels)}

        maps = () if model.name == "dense" else MAPS
        return {
            "classify": Signature(
                Task.CLASSIFY, classify, (IMAGE,), (SCORES,), {"image_bytes": png(EXAMPLE)}, "Read a digit"
            ),
            "serving_default": Signature(
                Task.CLASSIFY,
                classify_pixels,
                (PIXELS,),
                (SCORES,),
                {"pixels": EXAMPLE.astype(float).tolist()},
                "Read a digit from 28 x 28 pixels",
            ),
            **Explained(model, DigitView(), maps, IMAGE, png(EXAMPLE)).signatures(),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each digit as a PNG."""
        return ({"image_bytes": png(pixels)} for pixels in samples.inputs)

    def show(self, sample: Array) -> bytes:
        """The digit as a PNG, dark on light, as it was written."""
        return png(255 - sample)


PLUGIN = Mnist()
