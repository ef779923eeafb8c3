"""Generator, discriminator, and the game in which each is trained against the other (listings 8.29 to 8.32)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops
from pydantic import Field

from plugins.cifar10_files import SIDE
from plugins.contract import Config

LATENT = 32
NOISE = 0.05  # of the labels


class FrogsConfig(Config):
    """Hyper-parameters; the book trains 10,000 steps of 20 frogs: `epochs=100`."""

    epochs: int = Field(default=15, ge=1)
    batch_size: int = Field(default=20, ge=1)
    steps_per_epoch: int | None = Field(default=100, ge=1, description="as often as the book saves a frog")
    filters: int = Field(default=256, ge=1, description="of the generator's convolutions; the discriminator has half")
    generator_rate: float = Field(default=4e-4, gt=0, description="learning rate of the generator")
    discriminator_rate: float = Field(default=8e-4, gt=0, description="lower it if the discriminator wins every time")
    dropout: float = Field(default=0.4, ge=0, lt=1, description="of the discriminator; raise it then, too")


def build_generator(filters: int = 256) -> keras.Model:
    """Latent points [N, 32] to pictures [N, 32, 32, 3] of -1 to 1; 6,264,579 parameters (listing 8.29)."""
    latent = keras.Input((LATENT,))
    half = SIDE // 2
    x = layers.LeakyReLU()(layers.Dense(filters // 2 * half * half)(latent))
    x = layers.Reshape((half, half, filters // 2))(x)
    x = layers.LeakyReLU()(layers.Conv2D(filters, 5, padding="same")(x))
    x = layers.LeakyReLU()(layers.Conv2DTranspose(filters, 4, strides=2, padding="same")(x))
    x = layers.LeakyReLU()(layers.Conv2D(filters, 5, padding="same")(x))
    x = layers.LeakyReLU()(layers.Conv2D(filters, 5, padding="same")(x))
    return keras.Model(latent, layers.Conv2D(3, 7, padding="same", activation="tanh", dtype="float32")(x))


def build_discriminator(filters: int = 128, dropout: float = 0.4) -> keras.Model:
    """Pictures [N, 32, 32, 3] of -1 to 1 to the chance [N, 1] that it is made up; 790,913 parameters (listing 8.30)."""
    picture = keras.Input((SIDE, SIDE, 3))
    x = layers.LeakyReLU()(layers.Conv2D(filters, 3)(picture))
    for _ in range(3):
        x = layers.LeakyReLU()(layers.Conv2D(filters, 4, strides=2)(x))
    x = layers.Dropout(dropout)(layers.Flatten()(x))
    return keras.Model(picture, layers.Dense(1, activation="sigmoid", dtype="float32")(x))


class AdversarialNetworks(keras.Model):
    """Latent points [N, 32] to pictures; trained on frogs, uint8 [N, 32, 32, 3], by turns (listing 8.32).

    Every step the discriminator learns to tell made-up frogs (1) from real ones (0), its labels a little off; then the
    generator learns to have new ones taken for real. Both losses are cross-entropies in nats a picture.
    """

    def __init__(self, config: FrogsConfig, **settings: Any) -> None:
        super().__init__(**settings)
        self.generator = build_generator(config.filters)
        self.discriminator = build_discriminator(config.filters // 2, config.dropout)
        self.noise = keras.random.SeedGenerator()
        self.discriminator_loss = keras.metrics.Mean("discriminator_loss")
        self.adversarial_loss = keras.metrics.Mean("adversarial_loss")

    def call(self, points: Any) -> Any:
        """What the generator makes of latent points."""
        return self.generator(points)

    def train_step(self, data: Any) -> Any:
        """One turn of each; `data` is (frogs, ignored)."""
        frogs, _ = data
        count = ops.shape(frogs)[0]
        told = _learn(self.discriminator, self.discriminator.optimizer, self._telling(frogs, count))
        deceived = _learn(self.generator, self.optimizer, lambda: self._deceiving(count))
        self.discriminator_loss.update_state(told)
        self.adversarial_loss.update_state(deceived)
        return {metric.name: metric.result() for metric in (self.discriminator_loss, self.adversarial_loss)}

    def _telling(self, frogs: Any, count: Any) -> Callable[[], Any]:
        """The discriminator's loss on as many made-up frogs as real ones."""
        pictures = ops.concatenate([self.generator(self._points(count), training=True), scaled(frogs)])
        labels = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))])
        labels += NOISE * keras.random.uniform(ops.shape(labels), seed=self.noise)
        return lambda: _crossentropy(labels, self.discriminator(pictures, training=True))

    def _deceiving(self, count: Any) -> Any:
        """The generator's loss: how far the discriminator is from taking new frogs for real ones."""
        made = self.generator(self._points(count), training=True)
        return _crossentropy(ops.zeros((count, 1)), self.discriminator(made, training=True))

    def _points(self, count: Any) -> Any:
        return keras.random.normal((count, LATENT), seed=self.noise)


def _learn(part: keras.Model, optimizer: Any, loss_of: Callable[[], Any]) -> Any:
    """One step of `part` down its loss; the other part stays as it is."""
    with tf.GradientTape() as tape:
        loss = loss_of()
        whole = optimizer.scale_loss(loss)
    variables = part.trainable_variables
    optimizer.apply(tape.gradient(whole, variables), variables)
    return loss


def _crossentropy(labels: Any, chances: Any) -> Any:
    return ops.mean(ops.binary_crossentropy(labels, chances))


def scaled(pictures: Any) -> Any:
    """Pictures of 0 to 255 as the networks see them: -1 to 1, which is all that tanh can give."""
    return ops.cast(pictures, "float32") / 127.5 - 1


def unscaled(pictures: Any) -> Any:
    """Pictures of -1 to 1 as people see them: uint8."""
    return tf.cast(tf.round((pictures + 1) * 127.5), tf.uint8)


def build(config: FrogsConfig) -> AdversarialNetworks:
    """Each network compiled with the book's RMSprop; the model's own optimizer is the generator's."""
    model = AdversarialNetworks(config)
    model.discriminator.compile(_rmsprop(config.discriminator_rate))
    model.compile(_rmsprop(config.generator_rate))
    model.discriminator.optimizer.build(model.discriminator.trainable_variables)
    model.optimizer.build(model.generator.trainable_variables)
    model.build((None, LATENT))
    return model


def _rmsprop(rate: float) -> Any:
    return keras.optimizers.RMSprop(rate, clipvalue=1.0)
