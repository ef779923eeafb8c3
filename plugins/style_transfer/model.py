"""The networks that judge a picture: by their maps, or by one number (listing 8.16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from plugins.contract import Array
from plugins.keras_files import fetched_by_keras
from plugins.style_transfer.losses import CONTENT_LAYER, STYLE_LAYERS, Goal, Weights, grams, total_loss
from plugins.vgg16 import vgg16
from plugins.weights import weights_of


def build_eyes(network: str, assets: Mapping[str, Array]) -> keras.Model:
    """Pixels 0 to 255 [N, height, width, 3] to the maps of the style layers and the content layer. Frozen."""
    pixels = keras.Input((None, None, 3), name="pixels")
    whole = keras.Model(pixels, vgg16(pixels, weights_of(network, assets)) if network == "vgg16" else vgg19(pixels))
    eyes = keras.Model(pixels, [whole.get_layer(name).output for name in (*STYLE_LAYERS, CONTENT_LAYER)], name=network)
    eyes.trainable = False
    eyes.compile()
    return eyes


def vgg19(pixels: Any) -> Any:
    """Listing 8.16's network."""
    asked = {"input_tensor": keras.applications.vgg19.preprocess_input(pixels), "include_top": False}
    return fetched_by_keras(lambda: keras.applications.VGG19(weights="imagenet", **asked), "VGG19").output


class Judge:
    """The total loss of pictures that are to have one style. Nothing of it is a layer."""

    def __init__(self, eyes: keras.Model, style: Array) -> None:
        picture = tf.constant(style[None], tf.float32)
        self.eyes: Callable[[Any], Any] = lambda pictures: eyes(pictures, training=False)  # Keras tracks no function
        self.style = [tf.constant(gram) for gram in grams(self.eyes(picture), picture)]

    def losses(self, photographs: Any, pictures: Any, weights: Weights) -> tuple[Any, Any]:
        """Of the photographs themselves and of what became of them, float32 [N] each."""
        seen = self.eyes(photographs)
        goal = Goal(tf.cast(seen[-1], tf.float32), self.style)
        return (
            total_loss(photographs, seen, goal, weights),
            total_loss(pictures, self.eyes(pictures), goal, weights),
        )
