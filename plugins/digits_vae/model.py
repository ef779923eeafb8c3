"""Encoder, decoder, and the variational autoencoder that trains them (listings 8.23 to 8.27)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops
from pydantic import Field

from plugins.contract import Config

LATENT = 2
SIDE = 28
PIXELS = SIDE * SIDE


class VaeConfig(Config):
    """Hyper-parameters; the book trains 10 epochs in batches of 16."""

    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=32, ge=1)
    kl_weight: float = Field(
        default=5e-4 * PIXELS, ge=0, description="of the KL term in the training loss; 1: the ELBO"
    )


def build_encoder() -> keras.Model:
    """Images in [0, 1] [N, 28, 28, 1] to z_mean and z_log_var [N, 2]; 494,244 parameters (listing 8.23)."""
    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(64, 3, padding="same", activation="relu", strides=2)(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.Dense(32, activation="relu")(layers.Flatten()(x))
    z_mean = layers.Dense(LATENT, name="z_mean")(x)
    # Zeros: every variance begins at 1. From Keras's random weights RMSprop's first steps can take its logarithm to 20.
    z_log_var = layers.Dense(LATENT, kernel_initializer="zeros", name="z_log_var")(x)
    return keras.Model(image, [z_mean, z_log_var])


def build_decoder() -> keras.Model:
    """Latent points [N, 2] to the chance of light in each pixel [N, 28, 28, 1]; 56,385 parameters (listing 8.25)."""
    latent = keras.Input((LATENT,))
    x = layers.Dense(SIDE // 2 * SIDE // 2 * 64, activation="relu")(latent)
    x = layers.Reshape((SIDE // 2, SIDE // 2, 64))(x)
    x = layers.Conv2DTranspose(32, 3, padding="same", activation="relu", strides=2)(x)
    return keras.Model(latent, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


class VariationalAutoencoder(keras.Model):
    """uint8 images [N, 28, 28] to (z_mean, z_log_var, chances of light [N, 28, 28, 1]).

    Trained on reconstruction + kl_weight * KL, in nats per image (listing 8.26). `negative_elbo` is reconstruction +
    KL, the bound on -log p(image) of Kingma and Welling 2014.
    """

    def __init__(self, kl_weight: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.encoder = build_encoder()
        self.decoder = build_decoder()
        self.kl_weight = kl_weight
        self.noise = keras.random.SeedGenerator()
        self.negative_elbo = keras.metrics.Mean("negative_elbo")
        self.kl = keras.metrics.Mean("kl")

    def call(self, images: Any) -> Any:
        """Encode, draw a point near z_mean, decode it."""
        z_mean, z_log_var = self.encoder(scaled(images))
        # exp(z_log_var) is the variance, as the KL term has it; the book's listing 8.24 draws with it as the deviation.
        z = z_mean + ops.exp(z_log_var / 2) * keras.random.normal(ops.shape(z_mean), seed=self.noise)
        return z_mean, z_log_var, self.decoder(z)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        """The training loss of a batch; its targets are its inputs, so `y` is ignored."""
        z_mean, z_log_var, chances = y_pred
        reconstruction = ops.sum(ops.binary_crossentropy(scaled(x), chances), axis=(1, 2, 3))
        kl = -0.5 * ops.sum(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var), axis=1)
        self.negative_elbo.update_state(reconstruction + kl)
        self.kl.update_state(kl)
        return ops.mean(reconstruction + self.kl_weight * kl)


def scaled(images: Any) -> Any:
    """Images [N, 28, 28] of 0 to 255 as the networks see them: [N, 28, 28, 1] of 0 to 1."""
    return ops.expand_dims(ops.cast(images, "float32") / 255, -1)


def build(config: VaeConfig) -> VariationalAutoencoder:
    """Compiled with the book's RMSprop."""
    model = VariationalAutoencoder(config.kl_weight)
    model.compile(optimizer="rmsprop")
    model.build((None, SIDE, SIDE))
    return model
