"""The networks that dream: pixels 0 to 255 [N, height, width, 3] in, the maps of four layers out, shallow to deep."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from plugins.contract import Array
from plugins.efficientnet import efficientnet_lite0, set_weights
from plugins.keras_files import fetched_by_keras
from plugins.vgg16 import vgg16
from plugins.weights import weights_of

# Listing 8.9 for the book's InceptionV3; of the others, layers of about the same depth.
LAYERS: Mapping[str, tuple[str, str, str, str]] = MappingProxyType(
    {
        "efficientnet_lite0": ("blocks.2.filtered", "blocks.4.filtered", "blocks.7.filtered", "blocks.10.filtered"),
        "vgg16": ("block3_conv1", "block3_conv3", "block4_conv1", "block4_conv3"),
        "inception_v3": ("mixed2", "mixed3", "mixed4", "mixed5"),
    }
)


def build(variant: str, assets: Mapping[str, Array]) -> keras.Model:
    """The variant's network up to the deepest of its four layers. Raises Unavailable."""
    pixels = keras.Input((None, None, 3), name="pixels")
    match variant:
        case "efficientnet_lite0":
            whole = keras.Model(pixels, efficientnet_lite0(pixels))
            set_weights(whole, weights_of(variant, assets))
        case "vgg16":
            whole = keras.Model(pixels, vgg16(pixels, weights_of(variant, assets)))
        case "inception_v3":
            whole = keras.Model(pixels, inception_v3(pixels))
    model = keras.Model(pixels, [whole.get_layer(name).output for name in LAYERS[variant]], name=variant)
    model.trainable = False
    model.compile()
    return model


def inception_v3(pixels: Any) -> Any:
    """Listing 8.8's network."""
    asked = {"input_tensor": keras.applications.inception_v3.preprocess_input(pixels), "include_top": False}
    return fetched_by_keras(lambda: keras.applications.InceptionV3(weights="imagenet", **asked), "InceptionV3").output
