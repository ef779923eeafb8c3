"""The 5,000 frogs among CIFAR-10's training photographs (listing 8.32)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from plugins.cifar10_files import ARCHIVE, LABELS, PACKAGE, read_binary, read_npz, read_pictures
from plugins.contract import Array, Data, Dataset, Datasets, Samples, Source
from plugins.efficientnet import WEIGHTS


def frogs_of(read: Callable[[Path], Mapping[str, Array]]) -> Callable[[Path], Mapping[str, Array]]:
    """Of what `read` gives, the training photographs of frogs."""

    def read_frogs(path: Path) -> Mapping[str, Array]:
        arrays = read(path)
        return {"x_train": arrays["x_train"][arrays["y_train"].reshape(-1) == LABELS.index("frog")]}

    return read_frogs


FROGS = Dataset(
    file="cifar10_frogs_5000.npz",
    sha256="4057bea4d31e6d68f5a85dcc26b5c656ba3f65956a1f6b61b15ccd92801a131b",
    read=read_npz,
    sources=(Source(ARCHIVE, frogs_of(read_binary)), Source(PACKAGE, frogs_of(read_pictures))),
)


def load(datasets: Datasets) -> Data:
    """Frogs uint8 [5000, 32, 32, 3], to learn from and to be compared with: the book keeps none back. Targets: zeros.

    With them come the weights of the network that compares.
    """
    frogs = datasets.fetch(FROGS)["x_train"]
    nothing = np.zeros(len(frogs), np.uint8)
    return Data(train=Samples(frogs, nothing), test=Samples(frogs, nothing, assets=datasets.fetch(WEIGHTS)))
