"""Pictures for the run's report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plugins.autoencoder import VariationalAutoencoder
from plugins.contract import Array, Figure, Samples
from plugins.digits_vae.pictures import Plane, read
from plugins.panels import encoded_means, png, reconstructions, scatter

SHOWN = 5000


def drawn(model: VariationalAutoencoder, samples: Samples) -> Iterator[Figure]:
    """The book's figure 8.14, the plane with the test digits on it, and digits beside their reconstructions."""
    yield Figure("sheet", "15 x 15 digits at the quantiles of the prior, 5 % to 95 % each way", sheet(model))
    digits, classes = samples.inputs[:SHOWN], samples.targets[:SHOWN]
    plane = scatter(encoded_means(model, digits), classes, list(map(str, range(10))))
    yield Figure("latent", "5,000 test digits at their z_mean, coloured by digit", plane)
    pairs = reconstructions(model, samples.inputs[:60], rows=4)
    yield Figure("reconstructions", "Test digits (odd rows) and their reconstructions (even rows)", png(pairs))


def sheet(model: VariationalAutoencoder) -> bytes:
    """The 15 x 15 digits of listing 8.28, as the endpoint draws them."""
    pictures: Array = Plane(model, read, b"").sheet(np.array([15], np.int32))["image_bytes"].numpy()
    return bytes(pictures[0])
