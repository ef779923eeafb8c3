"""Pictures for the run's report; they show people's faces and are for nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plugins.contract import Array, Figure, Samples
from plugins.faces_vae.model import FacesVae
from plugins.faces_vae.pictures import Album, read
from plugins.panels import encoded_means, painted, png, reconstructions, scatter, tiled

STRENGTHS = (-2, -1, 0, 1, 2)
FACES = 12  # a row


def drawn(model: FacesVae, samples: Samples) -> Iterator[Figure]:
    """Faces of nobody, reconstructions, faces that begin to smile, and where they lie."""
    yield Figure("sheet", "64 faces of seeds 1 to 64: nobody's", _sheet(model))
    pairs = reconstructions(model, samples.inputs[: 2 * FACES], rows=2)
    yield Figure("reconstructions", "Test faces (odd rows) and their reconstructions (even rows)", png(pairs, 2))
    told = ", ".join(f"{strength:+d}" for strength in STRENGTHS)
    yield Figure("smile", f"Test faces; below, reconstructions moved by {told} smiles", _smiles(model, samples))
    yield Figure(
        "latent",
        "Test faces: to the right by how many smile vectors, upwards along what else differs most",
        scatter(_plane(model, samples), samples.targets, ("not smiling", "smiling")),
    )


def _sheet(model: FacesVae) -> bytes:
    pictures: Array = Album(model, read, b"").sheet(np.array([1]), np.array([8], np.int32))["image_bytes"].numpy()
    return bytes(pictures[0])


def _smiles(model: FacesVae, samples: Samples) -> bytes:
    serious = samples.inputs[samples.targets == 0][:FACES]
    z_mean, smile = encoded_means(model, serious), np.asarray(model.concepts.vectors())[0]
    moved = [painted(model, z_mean + strength * smile) for strength in STRENGTHS]
    return png(tiled(np.stack([serious, *moved])), 2)


def _plane(model: FacesVae, samples: Samples) -> Array:
    """[N, 2]: how many smile vectors from the middle, and the first principal component of what is left."""
    z_mean, smile = encoded_means(model, samples.inputs), np.asarray(model.concepts.vectors())[0]
    z_mean = z_mean - z_mean.mean(axis=0)
    length = max(float(np.linalg.norm(smile)), 1e-6)
    along = z_mean @ smile / length**2
    rest = z_mean - np.outer(along, smile)
    return np.stack([along, rest @ np.linalg.svd(rest, full_matrices=False)[2][0]], axis=1)
