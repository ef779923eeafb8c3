"""How far away is it? One convolutional base sees through two cameras (book 7.1.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

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
from plugins.pictures import decode
from plugins.siamese_stereo.data import SIDE, VALIDATION_PAIRS, load
from plugins.siamese_stereo.model import StereoConfig, build

SIDES = ("left", "right")
DESCRIPTION = f"what the {{}} camera sees; any size is scaled to {SIDE} x {SIDE}"
PICTURES = tuple(
    InputField(name=side, dtype="string", content="image", description=f"JPEG or PNG of {DESCRIPTION.format(side)}")
    for side in SIDES
)
PIXELS = tuple(
    InputField(
        name=f"{side}_pixels",
        dtype="float32",
        shape=(SIDE, SIDE, 3),
        description="red, green, blue",
        minimum=0,
        maximum=255,
    )
    for side in SIDES
)
DISTANCE = OutputField(
    name="values", dtype="float32", shape=(1,), content="values", description="distance of the scene", unit="metres"
)


def png(pixels: Array) -> bytes:
    """uint8 [height, width, 3] as PNG."""
    encoded = BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()


def example() -> Mapping[str, Array]:
    """A drawn scene, 8 pixels further left in the right picture."""
    y, x = np.mgrid[:SIDE, : SIDE + 8]
    scene = np.stack([128 + 100 * np.sin(x / 5), 128 + 100 * np.cos((x + 2 * y) / 9), 3.0 * y], axis=-1)
    return {"left": scene[:, :SIDE].astype(np.uint8), "right": scene[:, 8:].astype(np.uint8)}


def read_pictures(image_bytes: Any) -> Any:
    """PNG or JPEG strings [N] to float32 [N, 64, 64, 3], 0 to 255."""

    def read(one: Any) -> Any:
        seen = tf.image.resize(decode(one), (SIDE, SIDE), antialias=True)
        return tf.ensure_shape(seen, (SIDE, SIDE, 3))

    return tf.map_fn(read, image_bytes, fn_output_signature=tf.TensorSpec((SIDE, SIDE, 3), tf.float32))


class SiameseStereo(Plugin[StereoConfig]):
    """Learns distance from pairs of pictures."""

    name = "siamese_stereo"
    title = "Distance through two cameras"
    task = Task.REGRESS
    metric = Metric("mae", higher_is_better=False, unit="metres")
    protocol = HoldOut(validation=VALIDATION_PAIRS, in_order=True)
    config = StereoConfig
    variants = MappingProxyType(
        {
            "correlated": Variant(
                "a shared base whose features are compared at every disparity",
                settings={"epochs": 3, "learning_rate": 0.003},
            ),
            "concatenated": Variant("the book's: the features of a shared base side by side"),
        }
    )

    def load_data(self, config: StereoConfig, datasets: Datasets) -> Data:
        """Pictures and metres."""
        return load(datasets)

    def build_model(self, config: StereoConfig, variant: str, train: Samples) -> Any:
        """The network of that name; its learning rate falls over the steps that `train` gives it."""
        return build(config, variant, len(train))

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`regress` takes two pictures, `serving_default` their pixels."""

        def regress_pixels(left_pixels: Any, right_pixels: Any) -> Mapping[str, Any]:
            return {"values": model({"left": left_pixels, "right": right_pixels})}

        def regress(left: Any, right: Any) -> Mapping[str, Any]:
            return regress_pixels(read_pictures(left), read_pictures(right))

        scene = example()
        pictures = {side: png(pixels) for side, pixels in scene.items()}
        numbers = {f"{side}_pixels": pixels.astype(float).tolist() for side, pixels in scene.items()}
        return {
            "regress": Signature(Task.REGRESS, regress, PICTURES, (DISTANCE,), pictures, "Tell a scene's distance"),
            "serving_default": Signature(
                Task.REGRESS, regress_pixels, PIXELS, (DISTANCE,), numbers, "Tell a scene's distance by its pixels"
            ),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each pair as two PNGs."""
        for left, right in zip(*(samples.inputs[side] for side in SIDES), strict=True):
            yield {"left": png(left), "right": png(right)}

    def show(self, sample: Mapping[str, Array]) -> bytes:
        """What both cameras see, side by side."""
        return png(np.concatenate([sample[side] for side in SIDES], axis=1))


PLUGIN = SiameseStereo()
