"""The networks: pictures `left` and `right` [N, 64, 64, 3], 0 to 255, in; metres [N, 1] out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from pydantic import Field

from plugins.contract import Array, Config
from plugins.siamese_stereo.data import FARTHEST, NEAREST, SIDE, depth_of


class StereoConfig(Config):
    """Hyper-parameters; the book builds this network and does not train it."""

    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = Field(default=1e-3, gt=0, description="at the start; falls to 0 along half a cosine")


class Exposure(layers.Layer):
    """Pictures with mean 0 and deviation 1 each: one camera's picture may be the brighter one."""

    def call(self, pictures: Any) -> Any:
        """A blank picture becomes 0."""
        levels = tf.cast(pictures, tf.float32)
        mean, variance = tf.nn.moments(levels, (1, 2, 3), keepdims=True)
        return (levels - mean) * tf.math.rsqrt(variance + 1)


class Difference(layers.Layer):
    """How much the features [N, 64, 64, C] differ when the right ones are moved by 0 to 17 pixels: [N, 18].

    The one-dimensional correlation of DispNet (Mayer et al. 2016, section 5.2) over a scene that is flat.
    """

    moves = NEAREST + 2

    def call(self, left: Any, right: Any) -> Any:
        """Mean squares over where the two overlap: first of each column with each other one, then along diagonals."""
        of_left, of_right = (tf.reduce_mean(tf.square(features), axis=(1, 3)) for features in (left, right))
        products = tf.einsum("nyac,nybc->nab", left, right) / (SIDE * left.shape[3])
        columns = of_left[:, :, tf.newaxis] + of_right[:, tf.newaxis, :] - 2 * products
        return tf.einsum("nab,mab->nm", columns, self._overlaps())

    def _overlaps(self) -> Array:
        """For each move, which columns lie on each other, as shares [18, 64, 64]."""
        diagonals = [np.eye(SIDE, k=-move, dtype=np.float32) / (SIDE - move) for move in range(self.moves)]
        return np.stack(diagonals)


class BestMove(layers.Layer):
    """Differences [N, moves] to the move where they are least, [N, 1]: a soft argmin (Kendall et al. 2017, 3.4)."""

    def build(self, shape: Any) -> None:
        """How sharp the minimum is, learned."""
        self.sharpness = self.add_weight(shape=(), initializer=keras.initializers.Constant(10.0), name="sharpness")

    def call(self, differences: Any) -> Any:
        """Parts of a pixel come out, too; as shares of their mean, so that faint texture counts as much as strong."""
        moves = tf.range(differences.shape[1], dtype=tf.float32)
        shares = differences / (tf.reduce_mean(differences, axis=1, keepdims=True) + 1e-6)
        weights = tf.nn.softmax(-self.sharpness * shares)
        return tf.reduce_sum(weights * moves, axis=1, keepdims=True)


class Depth(layers.Layer):
    """Disparity in pixels to metres, no nearer and no farther than what was trained on."""

    def call(self, disparity: Any) -> Any:
        """The formula of the data."""
        return depth_of(tf.clip_by_value(disparity, FARTHEST, NEAREST))


def concatenated(left: Any, right: Any) -> Any:
    """The book's: one base for both pictures, its features laid side by side; a head that is ours."""
    base = keras.Sequential(
        [Exposure(), *(layers.Conv2D(width, 3, 2, "same", activation="relu") for width in (16, 32, 64))], name="base"
    )
    features = layers.Concatenate()([base(left), base(right)])
    hidden = layers.Dense(64, activation="relu")(layers.Flatten()(features))
    return layers.Dense(1, bias_initializer=keras.initializers.Constant((NEAREST + FARTHEST) / 2))(hidden)


def correlated(left: Any, right: Any) -> Any:
    """One base for both pictures, its features compared at every disparity."""
    base = keras.Sequential(
        [Exposure(), layers.Conv2D(8, 3, padding="same", activation="relu"), layers.Conv2D(8, 3, padding="same")],
        name="base",
    )
    return BestMove()(Difference()(base(left), base(right)))


NETWORKS = {"correlated": correlated, "concatenated": concatenated}


def disparity_error(depth: Any, answer: Any) -> Any:
    """Squared error in pixels: in metres, a far scene would outweigh all others."""
    return tf.square(depth_of(tf.reshape(depth, [-1, 1])) - depth_of(answer))


def build(config: StereoConfig, variant: str, samples: int) -> Any:
    """The variant's network, compiled for training on so many samples."""
    sides = {side: keras.Input((SIDE, SIDE, 3), name=side) for side in ("left", "right")}
    model = keras.Model(sides, Depth()(NETWORKS[variant](**sides)), name=variant)
    steps = config.epochs * -(-samples // config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=disparity_error, metrics=["mae"])
    return model
