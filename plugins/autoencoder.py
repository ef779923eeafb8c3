"""A variational autoencoder of pictures, for every plugin that brings an encoder and a decoder (book 8.4)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from plugins.concepts import Concepts
from plugins.contract import Array


class VariationalAutoencoder(keras.Model):
    """uint8 pictures [N, height, width] or [N, height, width, channels] to (z_mean, z_log_var, chances of light).

    `encoder` makes pictures of 0 to 1 into z_mean and z_log_var [N, numbers], `decoder` latent points into the chance
    of light in each pixel. Trained on reconstruction + kl_weight * KL, in nats per picture (listing 8.26).
    `negative_elbo` is reconstruction + KL, the bound on -log p(picture) of Kingma and Welling 2014. Targets, the class
    of each picture, teach its `concepts` only.
    """

    def __init__(
        self, encoder: keras.Model, decoder: keras.Model, concepts: Concepts, kl_weight: float, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.encoder = encoder
        self.decoder = decoder
        self.concepts = concepts
        self.kl_weight = kl_weight
        self.noise = keras.random.SeedGenerator()
        self.negative_elbo = keras.metrics.Mean("negative_elbo")
        self.kl = keras.metrics.Mean("kl")

    def call(self, pictures: Any) -> Any:
        """Encode, draw a point near z_mean, decode it."""
        z_mean, z_log_var = self.encoder(scaled(pictures))
        # exp(z_log_var) is the variance, as the KL term has it; the book's listing 8.24 draws with it as the deviation.
        z = z_mean + ops.exp(z_log_var / 2) * keras.random.normal(ops.shape(z_mean), seed=self.noise)
        return z_mean, z_log_var, self.decoder(z)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The training loss of a batch, whose pictures are their own targets."""
        z_mean, z_log_var, chances = y_pred
        reconstruction = ops.sum(ops.binary_crossentropy(scaled(x), chances), axis=(1, 2, 3))
        kl = -0.5 * ops.sum(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var), axis=1)
        self.negative_elbo.update_state(reconstruction + kl)
        self.kl.update_state(kl)
        if training and y is not None:
            self.concepts.learn(z_mean, y)
        return ops.mean(reconstruction + self.kl_weight * kl)


def scaled(pictures: Any) -> Any:
    """Pictures of 0 to 255 as the networks see them: [N, height, width, channels] of 0 to 1, grey ones with one."""
    pictures = ops.cast(pictures, "float32") / 255
    return ops.expand_dims(pictures, -1) if len(pictures.shape) == 3 else pictures


def mean_picture_nats(train: Array, test: Array) -> float:
    """Nats per test picture, uint8 [N, height, width], for one guess for all: each pixel's mean over the training ones.

    The Bernoulli cross-entropy that the decoder is judged by, for a decoder that is told nothing.
    """
    mean = np.clip(train.mean(axis=0) / 255, 1e-7, 1 - 1e-7)
    light = test.mean(axis=0) / 255
    return float(-(light * np.log(mean) + (1 - light) * np.log(1 - mean)).sum())
