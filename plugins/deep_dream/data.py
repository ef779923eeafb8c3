"""Weights that others trained, and photographs to dream of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plugins.contract import Array, Data, Datasets, Samples, Unavailable
from plugins.efficientnet import WEIGHTS
from plugins.photographs import CAT, COFFEE, MOUNTAINS, TOWER
from plugins.vgg16 import VGG16

PHOTOGRAPHS = (CAT, COFFEE, TOWER, MOUNTAINS)


def load(datasets: Datasets) -> Data:
    """Nothing to learn from; the weights that can be had as `efficientnet_lite0/...` and `vgg16/...`, four files."""
    files = np.array([datasets.fetch(photograph)["bytes"].tobytes() for photograph in PHOTOGRAPHS], object)
    nothing = np.zeros(len(files), np.float32)
    weights = {**_of("efficientnet_lite0", datasets.fetch(WEIGHTS)), **_of("vgg16", _if_reached(datasets))}
    return Data(train=Samples(files[:0], nothing[:0], assets=weights), test=Samples(files, nothing))


def weights_of(network: str, assets: Mapping[str, Array]) -> Mapping[str, Array]:
    """A network's arrays. Raises Unavailable."""
    start = f"{network}/"
    found = {name.removeprefix(start): array for name, array in assets.items() if name.startswith(start)}
    if not found:
        raise Unavailable(f"The weights of {network} come from a mirror or Keras's address. Received: none")
    return found


def _of(network: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    return {f"{network}/{name}": array for name, array in arrays.items()}


def _if_reached(datasets: Datasets) -> Mapping[str, Array]:
    """VGG16's weights are on no package registry, and only its own variant wants them."""
    try:
        return datasets.fetch(VGG16)
    except Unavailable:
        return {}
