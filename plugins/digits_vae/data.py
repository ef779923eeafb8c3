"""MNIST's images; the digit each one shows only colours the report."""

from __future__ import annotations

import numpy as np

from plugins.contract import Array, Data, Datasets, Samples
from plugins.digits import MNIST


def load(datasets: Datasets) -> Data:
    """Images uint8 [60000 and 10000, 28, 28], light on dark; targets are the digits, which nothing here learns."""
    arrays = datasets.fetch(MNIST)
    return Data(
        train=Samples(arrays["x_train"], arrays["y_train"]),
        test=Samples(arrays["x_test"], arrays["y_test"]),
    )


def mean_image_nats(train: Array, test: Array) -> float:
    """Nats per test image, uint8 [N, 28, 28], when every pixel is predicted by its mean over the training images.

    The Bernoulli cross-entropy that the decoder is judged by, for a decoder that is told nothing.
    """
    mean = np.clip(train.mean(axis=0) / 255, 1e-7, 1 - 1e-7)
    light = test.mean(axis=0) / 255
    return float(-(light * np.log(mean) + (1 - light) * np.log(1 - mean)).sum())
