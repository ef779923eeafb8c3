"""The convolutions of VGG16 (Simonyan and Zisserman 2014) with what they learned from ImageNet (book 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from plugins.contract import Array, Dataset, Source, Url


def read_h5(file: Path) -> Mapping[str, Array]:
    """Keras's weight file: `block1_conv1.0` is that layer's kernel, `block1_conv1.1` its bias."""
    with h5py.File(file) as layers:
        return {
            f"{layer}.{number}": np.asarray(group[name])
            for layer, group in layers.items()
            for number, name in enumerate(group.attrs["weight_names"])
        }


VGG16 = Dataset(
    file="weights/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    sha256="67aeefac8f0c4e6e825139148c8007ef1852530671bd7012bdc4c7b95ff030a0",
    read=read_h5,
    sources=(
        Source(
            Url(
                "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
                "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
            ),
            read_h5,
        ),
    ),
)


def vgg16(x: Any, weights: Mapping[str, Array], tuned: str = "none") -> Any:
    """The convolutions of VGG16 (listing 5.16) with what they learned from ImageNet, frozen but for one block.

    They see what they were trained on: BGR without ImageNet's mean, where the book's listings feed RGB / 255.
    """
    seen = keras.applications.vgg16.preprocess_input(x)
    base = keras.applications.VGG16(include_top=False, weights=None, input_tensor=seen)
    for layer in base.layers:
        layer.trainable = layer.name.startswith(tuned)
        if layer.weights:
            layer.set_weights([weights[f"{layer.name}.{number}"] for number in range(len(layer.weights))])
    return base.output
