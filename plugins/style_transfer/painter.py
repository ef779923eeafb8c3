"""`fast`: a network that paints in a single pass, and learns from a judge (book 8.3.3, Johnson et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from plugins.contract import Samples
from plugins.pictures import bounded, decode
from plugins.style_transfer.data import JUDGED, StyleConfig
from plugins.style_transfer.losses import Weights
from plugins.style_transfer.model import Judge

FAST = "fast"
SMALLEST, LARGEST = 64, 1024  # pixels a side: a smaller picture is enlarged, a larger one reduced
STRIDE = 4  # the painter halves a picture twice


class Painter(keras.Model):
    """Photographs 0 to 255 [N, height, width, 3], sides multiples of 4, to pictures alike, trained on a judge alone."""

    def __init__(self, judge: Judge, wanted: Weights, **settings: Any) -> None:
        super().__init__(**settings)
        self.paint = build_painter()
        self.judge = judge
        self.wanted = wanted
        self.loss_ratio = keras.metrics.Mean("loss_ratio")

    def call(self, photographs: Any) -> Any:
        """One pass."""
        return self.paint(tf.cast(photographs, tf.float32))

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        """The mean logarithm of the losses, each as many times as its photograph's own; there are no targets."""
        share = tf.cast(tf.reduce_prod(tf.shape(x)[1:3]), tf.float32) / JUDGED**2
        photographs, pictures = tf.cast(x, tf.float32), tf.cast(y_pred, tf.float32)
        before, after = self.judge.losses(photographs, pictures, self.wanted.in_part(share))
        self.loss_ratio.update_state(after / before)
        return tf.reduce_mean(tf.math.log(after / before))


class Mirrored(layers.ZeroPadding2D):
    """Pads with what is inside the border: zeros would fill a small crop with what a large picture has little of."""

    def call(self, inputs: Any) -> Any:
        """Maps [N, height, width, channels]."""
        return tf.pad(inputs, ((0, 0), *self.padding, (0, 0)), "REFLECT")


def build_fast(config: StyleConfig, train: Samples, judge: Judge) -> Painter:
    """Compiled with Adam."""
    model = Painter(judge, Weights(content=config.content_weight), name=FAST)
    steps = -(-config.epochs * len(train) // config.batch_size)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)))
    model.build((None, None, None, 3))
    return model


def build_painter(filters: int = 16, blocks: int = 4) -> keras.Model:
    """Johnson et al. 2016, half as wide: two halvings, residual blocks, two doublings; instances normalised."""
    photograph = keras.Input((None, None, 3))
    x = _convolved(layers.Rescaling(1 / 127.5, -1)(photograph), filters, 5)
    x = _convolved(x, 2 * filters, 3, strides=2)
    x = _convolved(x, 4 * filters, 3, strides=2)
    for _ in range(blocks):
        x = layers.Add()([x, _normal(_padded(_convolved(x, 4 * filters, 3), 4 * filters, 3))])
    x = _convolved(layers.UpSampling2D()(x), 2 * filters, 3)
    x = _convolved(layers.UpSampling2D()(x), filters, 3)
    x = layers.Conv2D(3, 3, activation="tanh")(Mirrored(1)(x))
    return keras.Model(photograph, layers.Rescaling(150, 127.5)(x), name="painter")


def _convolved(x: Any, filters: int, side: int, strides: int = 1) -> Any:
    return layers.Activation("relu")(_normal(_padded(x, filters, side, strides)))


def _padded(x: Any, filters: int, side: int, strides: int = 1) -> Any:
    return layers.Conv2D(filters, side, strides, use_bias=False)(Mirrored(side // 2)(x))


def _normal(x: Any) -> Any:
    """Each picture's channels by themselves (Ulyanov et al. 2016): its contrast is of no matter."""
    return layers.GroupNormalization(-1, epsilon=1e-5)(x)


def paint(model: Painter, image_bytes: Any, size: Any) -> Mapping[str, Any]:
    """The signature: a photograph in, a PNG out; each row by itself."""

    def one(row: tuple[Any, Any]) -> Any:
        photograph = bounded(decode(row[0]), tf.clip_by_value(row[1], SMALLEST, LARGEST), SMALLEST)
        height, width = tf.unstack(tf.shape(photograph)[:2])
        # To multiples of the stride by what is at the border, which is cut off again.
        whole = tf.pad(photograph, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), "SYMMETRIC")
        picture = model(whole[tf.newaxis], training=False)[0, :height, :width]
        return tf.io.encode_png(tf.cast(tf.round(tf.clip_by_value(picture, 0, 255)), tf.uint8))

    return {"image_bytes": tf.map_fn(one, (image_bytes, size), fn_output_signature=tf.string, parallel_iterations=1)}
