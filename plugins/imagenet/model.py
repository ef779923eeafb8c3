"""The networks: pixels 0 to 255 [N, 224, 224, 3] in, chances of the thousand classes [N, 1000] out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from plugins.contract import Array
from plugins.efficientnet import efficientnet_lite0, set_weights
from plugins.keras_files import fetched_by_keras
from plugins.pictures import View

# As both networks were judged: the middle of a picture, of which an eighth is cut off.
VIEW = View(side=224, share=0.875, method="bicubic")
# What can be looked into: layers from all depths, and the last of maps, by which `explain` explains.
LAYERS = {
    "efficientnet_lite0": (
        "stem",
        "blocks.1.filtered",
        "blocks.3.filtered",
        "blocks.5.filtered",
        "blocks.11.filtered",
        "head",
    ),
    "vgg16": ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1", "block5_conv3"),
}


def build(variant: str, weights: Mapping[str, Array]) -> Any:
    """The variant's network with what it learned elsewhere, compiled to be measured. Raises Unavailable."""
    inputs = keras.Input((VIEW.side, VIEW.side, 3))
    logits = efficientnet_lite0(inputs) if variant == "efficientnet_lite0" else vgg16(inputs)
    model = keras.Model(inputs, layers.Softmax(name="scores")(logits), name=variant)
    if variant == "efficientnet_lite0":
        set_weights(model, weights)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def vgg16(inputs: Any) -> Any:
    """Logits of listing 5.40's network, 138,357,544 parameters."""
    asked = {"input_tensor": keras.applications.vgg16.preprocess_input(inputs), "classifier_activation": None}
    return fetched_by_keras(lambda: keras.applications.VGG16(weights="imagenet", **asked), "VGG16").output
