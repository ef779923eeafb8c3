"""MNIST: 60,000 digits to learn from, 10,000 to be judged on."""

from __future__ import annotations

from plugins.contract import Data, Datasets, Samples
from plugins.digits import MNIST

LABELS = tuple("0123456789")


def load(datasets: Datasets) -> Data:
    """Images uint8 [N, 28, 28], 0 is background, with their digits uint8 [N] (listing 2.1)."""
    arrays = datasets.fetch(MNIST)
    return Data(
        train=Samples(arrays["x_train"], arrays["y_train"]),
        test=Samples(arrays["x_test"], arrays["y_test"]),
    )
