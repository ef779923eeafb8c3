"""MNIST's images; the digit each one shows only colours the report."""

from __future__ import annotations

from plugins.contract import Data, Datasets, Samples
from plugins.digits import MNIST


def load(datasets: Datasets) -> Data:
    """Images uint8 [60000 and 10000, 28, 28], light on dark; targets are the digits, which nothing here learns."""
    arrays = datasets.fetch(MNIST)
    return Data(
        train=Samples(arrays["x_train"], arrays["y_train"]),
        test=Samples(arrays["x_test"], arrays["y_test"]),
    )
