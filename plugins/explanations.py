"""What a network sees, as pictures (book 5.4), for every plugin that classifies pictures.

All of it is traced into the SavedModel. `explain` shows where on a photograph the reasons for a class are,
`activations` what each filter of a layer makes of a photograph, `filters` what a filter would most like to see. Without
convolutions there is `explain` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import matplotlib
import numpy as np
import tensorflow as tf

from plugins.contract import Array, InputField, OutputField, Signature, Task
from plugins.pictures import EXAMPLE, IMAGE
from plugins.targets import BEST, target_field

EPSILON = 1e-5  # keeps a flat slope, map or pattern from being divided by 0
COLUMNS = 16  # pictures a row of a grid
SMALLEST = 32  # pixels a side of a picture in a grid; a smaller one is enlarged
MOST_STEPS = 200
CONTRAST = 0.15  # deviation of a pattern's pixels, of 1


def colours(name: str) -> Array:
    """A colour map of matplotlib as uint8 [256, 3]."""
    return np.round(255 * matplotlib.colormaps[name](np.arange(256))[:, :3]).astype(np.uint8)


JET, VIRIDIS = colours("jet"), colours("viridis")
OVERLAY = OutputField(name="image_bytes", dtype="string", content="image", description="PNG")
ALPHA = InputField(
    name="alpha", dtype="float32", description="strength of the heat's colours", default=0.4, minimum=0, maximum=1
)
SEED = InputField(name="seed", dtype="int32", description="of the noise that is begun with", default=0)
STEPS = InputField(
    name="steps", dtype="int32", description="of gradient ascent", default=40, minimum=1, maximum=MOST_STEPS
)


class Seen(Protocol):
    """How a network sees pictures: `plugins.pictures.View`, or a plugin's own way."""

    def read(self, image_bytes: Any) -> Any:
        """PNG or JPEG strings [N] to what the network takes, 0 to 255."""

    def shown(self, image_bytes: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        """One string to a picture for people, float32 [height, width, 3] of 0 to 255, and what of it is read: the first
        row and column of a square and its side."""


@dataclass(frozen=True)
class Explained:
    """A classifier to be looked into.

    `model` takes what `view` reads; its last layer makes scores of logits, one a class, or a single one for the second
    of two. `layers` are names of those that may be looked at, all of them maps; Grad-CAM explains by the last, and
    patterns are made for the others, for it is the dearest. A network without maps has none of them.
    """

    model: Any
    view: Seen
    layers: Sequence[str]
    image: InputField = IMAGE
    example: bytes = EXAMPLE

    @property
    def maps(self) -> Any:
        """From pixels to what each of `layers` makes of them."""
        return keras.Model(self.model.inputs[0], [self.model.get_layer(name).output for name in self.layers])

    @property
    def _heated(self) -> Any:
        """What the heat is of: the last of `layers`, or the pixels."""
        return self.maps.outputs[-1] if self.layers else self.model.inputs[0]

    @property
    def classes(self) -> int:
        """How many there are."""
        return max(2, self.model.outputs[0].shape[-1])

    def signatures(self) -> Mapping[str, Signature]:
        """`explain` and, of maps, `activations` and `filters`."""
        heated = self._heated  # all layers are found now, not when a picture is asked for
        heatmap = OutputField(
            name="heatmap", dtype="float32", shape=tuple(heated.shape[1:3]), description="0 to 1, of the square seen"
        )
        explain = Signature(
            Task.EXPLAIN,
            self.explain,
            (self.image, target_field(self.classes), ALPHA),
            (OVERLAY, heatmap),
            {"image_bytes": self.example, "target": BEST, "alpha": 0.4},
            f"Where the reasons for a class are: {'Grad-CAM' if self.layers else 'each pixel by its slope'}",
        )
        return {"explain": explain, **(self._of_maps() if self.layers else {})}

    def _of_maps(self) -> Mapping[str, Signature]:
        layer, sought = _choice(self.layers), _choice(self.layers[:-1])
        filter_number = InputField(
            name="filter", dtype="int32", description="its number, modulo how many the layer has", default=0, minimum=0
        )
        return {
            "activations": Signature(
                Task.EXPLAIN,
                self.activations,
                (self.image, layer),
                (OVERLAY,),
                {"image_bytes": self.example, "layer": 0},
                "What each filter of a layer makes of the picture",
            ),
            "filters": Signature(
                Task.EXPLAIN,
                self.filters,
                (sought, filter_number, STEPS, SEED),
                (OVERLAY,),
                {"layer": 0, "filter": 0, "steps": 10, "seed": 0},
                "What a filter would most like to see",
            ),
        }

    def explain(self, image_bytes: Any, target: Any, alpha: Any) -> Mapping[str, Any]:
        """Each photograph under the heat of its class, and the heat."""
        heat = self.heat(self.view.read(image_bytes), target)
        overlays = tf.map_fn(lambda row: self._overlay(*row), (image_bytes, heat, alpha), fn_output_signature=tf.string)
        return {"image_bytes": overlays, "heatmap": heat}

    def heat(self, pixels: Any, target: Any) -> Any:
        """Grad-CAM (Selvaraju et al. 2017, equations 1 and 2), 0 to 1: float32 [N, height, width].

        Of the logit, not of the score as in listing 5.42: a score near 1 has hardly any gradient. Without maps, the
        pixels are looked at, each by its own slope (gradient times input: Shrikumar et al. 2016).
        """
        probe = keras.Model(self.model.inputs[0], [self._heated, self.model.layers[-1].input])
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            maps, logits = probe(pixels, training=False)
            logits = tf.concat([-logits, logits], axis=1) if logits.shape[1] == 1 else logits
            wanted = tf.where(target < 0, tf.argmax(logits, axis=1, output_type=tf.int32), target)
            reason = tf.gather(logits, wanted, axis=1, batch_dims=1)
        slopes = tape.gradient(reason, maps)
        if self.layers:
            weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
            heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=3))
        else:
            heat = tf.nn.relu(slopes * maps)
        return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))

    def _overlay(self, image_bytes: Any, heat: Any, alpha: Any) -> Any:
        image, (top, left, side) = self.view.shown(image_bytes)
        size = tf.shape(image)[:2]
        warm = tf.image.resize(heat[..., tf.newaxis], (side, side), "bicubic")
        warm = tf.image.pad_to_bounding_box(tf.clip_by_value(warm, 0, 1), top, left, size[0], size[1])
        mixed = (1 - alpha) * image + alpha * _coloured(warm[..., 0], JET)  # a mean, where listing 5.44's sum overflows
        return tf.io.encode_png(tf.cast(tf.round(mixed), tf.uint8))

    def activations(self, image_bytes: Any, layer: Any) -> Mapping[str, Any]:
        """A grid of what each filter of the layer makes of the photograph (listing 5.31)."""
        maps = self.maps(self.view.read(image_bytes), training=False)
        maps = maps if isinstance(maps, list) else [maps]

        def grid(row: tuple[Any, Any]) -> Any:
            number, chosen = row
            return tf.switch_case(chosen, [lambda each=each: _grid(each[number]) for each in maps])

        grids = tf.map_fn(grid, (tf.range(tf.size(layer)), layer), fn_output_signature=tf.string)
        return {"image_bytes": grids}

    def filters(self, layer: Any, filter: Any, steps: Any, seed: Any) -> Mapping[str, Any]:
        """What excites a filter most, found by gradient ascent from grey noise (listing 5.38)."""
        inputs = self.model.inputs[0]
        probes = [keras.Model(inputs, _unrectified(self.model.get_layer(name))) for name in self.layers[:-1]]

        def pattern(row: tuple[Any, ...]) -> Any:
            chosen, *knobs = row
            return tf.switch_case(chosen, [lambda probe=probe: self._pattern(probe, *knobs) for probe in probes])

        patterns = tf.map_fn(pattern, (layer, filter, steps, seed), fn_output_signature=tf.string)
        return {"image_bytes": patterns}

    def _pattern(self, probe: Any, number: Any, steps: Any, seed: Any) -> Any:
        height, width, *channels = self.model.inputs[0].shape[1:]
        noise = tf.random.stateless_uniform((1, height, width, *channels), tf.stack([seed, 0]), 128, 148)

        def climb(step: Any, pixels: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                tape.watch(pixels)
                maps = probe(pixels, training=False)
                excitement = tf.reduce_mean(tf.gather(maps, number % maps.shape[-1], axis=-1))
            slope = tape.gradient(excitement, pixels)
            return step + 1, pixels + slope / (tf.sqrt(tf.reduce_mean(slope**2)) + EPSILON)

        _, pixels = tf.while_loop(lambda step, _: step < steps, climb, (0, noise))
        levels = tf.clip_by_value(0.5 + CONTRAST * _standardised(pixels), 0, 1)
        return tf.io.encode_png(tf.cast(255 * tf.reshape(levels, (height, width, -1)), tf.uint8))


def _choice(layers: Sequence[str]) -> InputField:
    numbered = ", ".join(f"{number} {name}" for number, name in enumerate(layers))
    return InputField(name="layer", dtype="int32", description=numbered, default=0, minimum=0, maximum=len(layers) - 1)


def _unrectified(layer: Any) -> Any:
    """What a layer puts out, before it is cut off at 0 where a layer of its own does that: there, slopes are 0."""
    return layer.input if isinstance(layer, keras.layers.ReLU) else layer.output


def _coloured(levels: Any, table: Array) -> Any:
    """Levels 0 to 1 [height, width] as colours 0 to 255 [height, width, 3]."""
    return tf.gather(tf.constant(table, tf.float32), tf.cast(tf.round(255 * levels), tf.int32))


def _standardised(values: Any) -> Any:
    return (values - tf.reduce_mean(values)) / (tf.math.reduce_std(values) + EPSILON)


def _grid(maps: Any) -> Any:
    """Maps [height, width, filters] side by side, each by its own mean and deviation, as a PNG."""
    height, width, filters = maps.shape
    mean, deviation = tf.reduce_mean(maps, (0, 1)), tf.math.reduce_std(maps, (0, 1))
    levels = tf.clip_by_value((64 * (maps - mean) / (deviation + EPSILON) + 128) / 255, 0, 1)
    rows = -(-filters // COLUMNS)
    levels = tf.pad(levels, [[0, 0], [0, 0], [0, rows * COLUMNS - filters]])
    tiles = tf.reshape(levels, (height, width, rows, COLUMNS))
    scale = -(-SMALLEST // height)
    tiles = tf.repeat(tf.repeat(tf.transpose(tiles, (2, 0, 3, 1)), scale, axis=1), scale, axis=3)
    sheet = tf.reshape(tiles, (rows * height * scale, COLUMNS * width * scale))
    return tf.io.encode_png(tf.cast(_coloured(sheet, VIRIDIS), tf.uint8))
