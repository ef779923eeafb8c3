"""Weights that others trained, and photographs to dream of."""

from __future__ import annotations

import numpy as np

from plugins.contract import Data, Datasets, Samples
from plugins.efficientnet import WEIGHTS
from plugins.photographs import CAT, COFFEE, MOUNTAINS, TOWER
from plugins.vgg16 import VGG16
from plugins.weights import if_reached, named_after

PHOTOGRAPHS = (CAT, COFFEE, TOWER, MOUNTAINS)


def load(datasets: Datasets) -> Data:
    """Nothing to learn from; the weights that can be had as `efficientnet_lite0/...` and `vgg16/...`, four files."""
    files = np.array([datasets.fetch(photograph)["bytes"].tobytes() for photograph in PHOTOGRAPHS], object)
    nothing = np.zeros(len(files), np.float32)
    weights = {
        **named_after("efficientnet_lite0", datasets.fetch(WEIGHTS)),
        **named_after("vgg16", if_reached(datasets, VGG16)),
    }
    return Data(train=Samples(files[:0], nothing[:0], assets=weights), test=Samples(files, nothing))
