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
PICTURE = "picture"  # the last layer
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
        """The mean root of the losses, each as many times as its photograph's own; there are no targets."""
        share = tf.cast(tf.reduce_prod(tf.shape(x)[1:3]), tf.float32) / JUDGED**2
        photographs, pictures = tf.cast(x, tf.float32), _shown(tf.cast(y_pred, tf.float32))
        before, after = self.judge.losses(photographs, pictures, self.wanted.in_part(share))
        self.loss_ratio.update_state(after / before)
        return tf.reduce_mean(tf.sqrt(after / before))


class Convolution(layers.Layer):
    """Convolves maps [N, height, width, channels], mirrored at their border.

    Zeros there would fill a small crop with what a large picture has little of. The kernel is a matrix, because Muon
    takes no other.
    """

    def __init__(self, filters: int, side: int, strides: int = 1, **settings: Any) -> None:
        super().__init__(**settings)
        self.filters, self.side, self.strides = filters, side, strides

    def build(self, shape: Any) -> None:
        """One column a filter."""
        self.kernel = self.add_weight((self.side**2 * shape[-1], self.filters), name="kernel")

    def call(self, inputs: Any) -> Any:
        """Sides as they were, or halved."""
        margin = (self.side // 2,) * 2
        kernel = tf.reshape(self.kernel, (self.side, self.side, -1, self.filters))
        return tf.nn.conv2d(tf.pad(inputs, ((0, 0), margin, margin, (0, 0)), "REFLECT"), kernel, self.strides, "VALID")


def build_fast(config: StyleConfig, train: Samples, judge: Judge) -> Painter:
    """Compiled with Muon (Jordan 2024, scaled as by Liu et al. 2025); Adam for what is no inner kernel."""
    model = Painter(judge, Weights(content=config.content_weight), name=FAST)
    rate = keras.optimizers.schedules.CosineDecay(
        config.learning_rate, -(-config.epochs * len(train) // config.batch_size)
    )
    model.compile(keras.optimizers.Muon(rate, weight_decay=None, adam_weight_decay=None, exclude_layers=[PICTURE]))
    model.build((None, None, None, 3))
    return model


def build_painter(filters: int = 16, blocks: int = 4) -> keras.Model:
    """Johnson et al. 2016, half as wide: two halvings, residual blocks, two doublings; instances normalised.

    What was seen before each halving is seen again after the doubling (Ronneberger et al. 2015).
    """
    photograph = keras.Input((None, None, 3))
    whole = _convolved(layers.Rescaling(1 / 127.5, -1)(photograph), filters, 5)
    half = _convolved(whole, 2 * filters, 3, strides=2)
    x = _convolved(half, 4 * filters, 3, strides=2)
    for _ in range(blocks):
        x = layers.Add()([x, _normal(Convolution(4 * filters, 3)(_convolved(x, 4 * filters, 3)))])
    x = _convolved(_beside(x, half), 2 * filters, 3)
    x = _convolved(_beside(x, whole), filters, 3)
    x = layers.Activation("tanh")(Convolution(3, 3, name=PICTURE)(x))
    return keras.Model(photograph, layers.Rescaling(150, 127.5)(x), name="painter")


def _beside(small: Any, large: Any) -> Any:
    return layers.Concatenate()([layers.UpSampling2D()(small), large])


def _convolved(x: Any, filters: int, side: int, strides: int = 1) -> Any:
    return layers.Activation("relu")(_normal(Convolution(filters, side, strides)(x)))


def _normal(x: Any) -> Any:
    """Each picture's channels by themselves (Ulyanov et al. 2016): its contrast is of no matter."""
    return layers.GroupNormalization(-1, epsilon=1e-5)(x)


def _shown(pictures: Any) -> Any:
    """As far as a PNG can show them; slopes pass as if it could show all."""
    return pictures + tf.stop_gradient(tf.clip_by_value(pictures, 0, 255) - pictures)


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
