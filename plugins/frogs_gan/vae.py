"""A small variational autoencoder of the same frogs, to compare with: no game, but a loss (book 8.4)."""

from __future__ import annotations

import keras
from keras import layers

from plugins.autoencoder import VariationalAutoencoder
from plugins.cifar10_files import SIDE
from plugins.concepts import Concepts
from plugins.frogs_gan.model import LATENT

FILTERS = (32, 64, 128)


def build_encoder() -> keras.Model:
    """Pictures [N, 32, 32, 3] of 0 to 1 to z_mean and z_log_var [N, 32]."""
    picture = keras.Input((SIDE, SIDE, 3))
    x = picture
    for filters in FILTERS:
        x = layers.LeakyReLU()(layers.Conv2D(filters, 4, strides=2, padding="same")(x))
    x = layers.Flatten()(x)
    return keras.Model(picture, [layers.Dense(LATENT)(x), layers.Dense(LATENT, kernel_initializer="zeros")(x)])


def build_decoder() -> keras.Model:
    """Latent points [N, 32] to pictures [N, 32, 32, 3] of 0 to 1."""
    latent = keras.Input((LATENT,))
    side, deepest = SIDE >> len(FILTERS), FILTERS[-1]
    x = layers.LeakyReLU()(layers.Dense(side * side * deepest)(latent))
    x = layers.Reshape((side, side, deepest))(x)
    for filters in reversed(FILTERS):
        x = layers.LeakyReLU()(layers.Conv2DTranspose(filters, 4, strides=2, padding="same")(x))
    return keras.Model(latent, layers.Conv2D(3, 3, padding="same", activation="sigmoid", dtype="float32")(x))


def build() -> VariationalAutoencoder:
    """Compiled with Adam; as `generator` it has its decoder with the range of the other variant's, -1 to 1."""
    model = VariationalAutoencoder(build_encoder(), build_decoder(), Concepts({}, LATENT), kl_weight=1.0)
    decoder = model.decoder
    model.generator = keras.Model(decoder.input, layers.Rescaling(2.0, -1.0, dtype="float32")(decoder.output))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.build((None, SIDE, SIDE, 3))
    return model
