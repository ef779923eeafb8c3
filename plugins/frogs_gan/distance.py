"""How far made pictures are from real ones: the Fréchet distance of Heusel et al. 2017 (arXiv:1706.08500).

There it is taken between features of InceptionV3; here of EfficientNet-Lite0, so figures compare among themselves only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import keras
import numpy as np
from keras import layers

from plugins.cifar10_files import SIDE
from plugins.contract import Array
from plugins.efficientnet import efficientnet_lite0, set_weights

SEEN = 128  # pixels a side that the network is shown


def features(pictures: Array, weights: Mapping[str, Array]) -> Array:
    """uint8 [N, 32, 32, 3] to float64 [N, 1280]: the last maps of EfficientNet-Lite0, each averaged."""
    network, pooled = _networks()
    set_weights(network, weights)
    seen: Array = pooled.predict(pictures, batch_size=100, verbose=0)
    return seen.astype(np.float64)


@cache
def _networks() -> tuple[keras.Model, keras.Model]:
    """The classifier, and what it comes to before its last layer; built once, because a run looks twice."""
    picture = keras.Input((SIDE, SIDE, 3))
    network = keras.Model(picture, efficientnet_lite0(layers.Resizing(SEEN, SEEN)(picture)))
    return network, keras.Model(picture, network.get_layer("fc").input)


def frechet_distance(one: Array, other: Array) -> float:
    """Between the normal distributions that fit two sets of features [N, K] best: 0 or more, 0 for equal sets.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With C = R^T R the last trace is the sum of the singular values of
    R1 R2^T: no matrix is squared, and sets of fewer than K rows do no harm.
    """
    means = one.mean(axis=0) - other.mean(axis=0)
    first, second = _root(one), _root(other)
    shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return max(0.0, float(means @ means + (first**2).sum() + (second**2).sum() - 2 * shared))


def _root(rows: Array) -> Array:
    """R, of which R^T R is the covariance of the rows."""
    return np.asarray(np.linalg.qr((rows - rows.mean(axis=0)) / np.sqrt(len(rows)), mode="r"))
