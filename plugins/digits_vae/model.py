"""The book's encoder and decoder (listings 8.23 to 8.27)."""

from __future__ import annotations

import keras
from keras import layers
from pydantic import Field

from plugins.autoencoder import VariationalAutoencoder
from plugins.concepts import Concepts
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


def build(config: VaeConfig) -> VariationalAutoencoder:
    """Compiled with the book's RMSprop; each digit is a concept."""
    concepts = Concepts({str(digit): digit for digit in range(10)}, LATENT)
    model = VariationalAutoencoder(build_encoder(), build_decoder(), concepts, config.kl_weight)
    model.compile(optimizer="rmsprop")
    model.build((None, SIDE, SIDE))
    return model
