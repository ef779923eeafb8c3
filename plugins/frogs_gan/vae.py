"""A small variational autoencoder of the same frogs, to compare with: no game, but a loss (book 8.4)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from plugins.cifar10_files import SIDE
from plugins.frogs_gan.model import LATENT, scaled

NUMBERS = SIDE * SIDE * 3
FILTERS = (32, 64, 128)


def build_encoder() -> keras.Model:
    """Pictures [N, 32, 32, 3] of -1 to 1 to z_mean and z_log_var [N, 32]."""
    picture = keras.Input((SIDE, SIDE, 3))
    x = picture
    for filters in FILTERS:
        x = layers.LeakyReLU()(layers.Conv2D(filters, 4, strides=2, padding="same")(x))
    x = layers.Flatten()(x)
    return keras.Model(picture, [layers.Dense(LATENT)(x), layers.Dense(LATENT, kernel_initializer="zeros")(x)])


def build_generator() -> keras.Model:
    """The decoder: latent points [N, 32] to pictures [N, 32, 32, 3] of -1 to 1."""
    latent = keras.Input((LATENT,))
    side, *_, deepest = SIDE >> len(FILTERS), *FILTERS
    x = layers.LeakyReLU()(layers.Dense(side * side * deepest)(latent))
    x = layers.Reshape((side, side, deepest))(x)
    for filters in reversed(FILTERS):
        x = layers.LeakyReLU()(layers.Conv2DTranspose(filters, 4, strides=2, padding="same")(x))
    return keras.Model(latent, layers.Conv2D(3, 3, padding="same", activation="tanh", dtype="float32")(x))


class VariationalAutoencoder(keras.Model):
    """Frogs, uint8 [N, 32, 32, 3], to (z_mean, z_log_var, decoded [N, 32, 32, 3] of -1 to 1).

    Trained on the negative ELBO in nats a frog, with a Gaussian around each decoded number, whose variance is the one
    that fits the batch best (Rybkin et al. 2021, arXiv:2006.13202, section 3).
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.encoder = build_encoder()
        self.generator = build_generator()
        self.noise = keras.random.SeedGenerator()
        self.kl = keras.metrics.Mean("kl")

    def call(self, frogs: Any) -> Any:
        """Encode, draw a point near z_mean, decode it."""
        z_mean, z_log_var = self.encoder(scaled(frogs))
        z = z_mean + ops.exp(z_log_var / 2) * keras.random.normal(ops.shape(z_mean), seed=self.noise)
        return z_mean, z_log_var, self.generator(z)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        """The training loss of a batch; its targets are its inputs, so `y` is ignored."""
        z_mean, z_log_var, decoded = (ops.cast(part, "float32") for part in y_pred)
        kl = -0.5 * ops.mean(ops.sum(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var), axis=1))
        self.kl.update_state(kl)
        return kl + NUMBERS / 2 * ops.log(ops.mean(ops.square(scaled(x) - decoded)))


def build() -> VariationalAutoencoder:
    """Compiled with Adam."""
    model = VariationalAutoencoder()
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.build((None, SIDE, SIDE, 3))
    return model
