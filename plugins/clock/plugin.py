"""What time is it? The same clocks as pixels, as hand tips and as angles (book 4.3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.clock.data import LABELS, LENGTHS, SIDE, angles_of, directions, draw, invent, load
from plugins.clock.model import MAPS, ClockConfig, build
from plugins.contract import (
    Array,
    Data,
    Datasets,
    HoldOut,
    InputField,
    Metric,
    OutputField,
    Plugin,
    Samples,
    Signature,
    Task,
    Untrained,
    Variant,
)
from plugins.explanations import Explained
from plugins.pictures import IMAGE, GreyView

VIEW = GreyView(SIDE)
FROM_CENTRE = "from the centre {}, in radii of the face"
TIPS = tuple(
    InputField(name=f"{hand}_{axis}", dtype="float32", description=f"tip of the {hand} hand {FROM_CENTRE.format(way)}")
    for hand in ("hour", "minute")
    for axis, way in (("x", "to the right"), ("y", "upwards"))
)
ANGLES = tuple(
    InputField(
        name=f"{hand}_angle", dtype="float32", description=f"of the {hand} hand, clockwise from 12", unit="degrees"
    )
    for hand in ("hour", "minute")
)
SCORES = OutputField(
    name="scores",
    dtype="float32",
    shape=(len(LABELS),),
    content="scores",
    description="chances of the 720 times of twelve hours",
    labels=LABELS,
)
TEN_PAST_TEN = np.array([10 * 60 + 10])


def png(pixels: Array) -> bytes:
    """uint8 [height, width] as a grey PNG."""
    encoded: bytes = tf.io.encode_png(tf.cast(pixels, tf.uint8)[..., tf.newaxis]).numpy()
    return encoded


def _signature(function: Any, fields: tuple[InputField, ...], example: Mapping[str, Any]) -> Mapping[str, Signature]:
    return {"classify": Signature(Task.CLASSIFY, function, fields, (SCORES,), example, "Tell the time")}


def from_pictures(model: Any) -> Mapping[str, Signature]:
    """A picture of a clock."""

    def classify(image_bytes: Any) -> Mapping[str, Any]:
        return {"scores": model(VIEW.read(image_bytes))}

    example = png(draw(invent(1, 7))[0])
    shown = Explained(model, VIEW, MAPS, example=example).signatures()
    return {**_signature(classify, (IMAGE,), {"image_bytes": example}), **shown}


def from_tips(model: Any) -> Mapping[str, Signature]:
    """Where the tips of the hands are."""

    def classify(hour_x: Any, hour_y: Any, minute_x: Any, minute_y: Any) -> Mapping[str, Any]:
        return {"scores": model(tf.stack((hour_x, hour_y, minute_x, minute_y), axis=1))}

    tips = directions(angles_of(TEN_PAST_TEN))[0] * np.array(LENGTHS)[:, None]
    return _signature(classify, TIPS, _named(TIPS, tips.reshape(-1).round(2)))


def from_angles(model: Any) -> Mapping[str, Signature]:
    """Where the hands point."""

    def classify(hour_angle: Any, minute_angle: Any) -> Mapping[str, Any]:
        return {"scores": model(tf.stack((hour_angle, minute_angle), axis=1))}

    return _signature(classify, ANGLES, _named(ANGLES, angles_of(TEN_PAST_TEN)[0]))


def _named(fields: tuple[InputField, ...], values: Array) -> Mapping[str, float]:
    return {field.name: float(value) for field, value in zip(fields, values, strict=True)}


SIGNATURES = {"pixels": from_pictures, "hand_tips": from_tips, "angles": from_angles}


class Clock(Plugin[ClockConfig]):
    """Learns from drawn clocks."""

    name = "clock"
    title = "The time on a clock face"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=0.1)
    config = ClockConfig
    variants = MappingProxyType(
        {
            "pixels": Variant("a convnet on the picture, 286,020 parameters"),
            "hand_tips": Variant(
                "a small net on the coordinates of the hands' tips, 292 parameters", settings={"features": "hand_tips"}
            ),
            "angles": Variant(
                "the hands' angles, no parameters, nothing learned",
                settings={"features": "angles"},
                protocol=Untrained(),
            ),
        }
    )

    def load_data(self, config: ClockConfig, datasets: Datasets) -> Data:
        """The same clocks for every seed and every variant; nothing is fetched."""
        return load(config.features)

    def build_model(self, config: ClockConfig, variant: str, train: Samples) -> Any:
        """The network of that name; its learning rate falls over the steps that `train` gives it."""
        return build(config, variant, len(train))

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` takes what the variant sees of a clock."""
        return SIGNATURES[model.name](model)

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each clock as a picture, or with its numbers named."""
        if samples.inputs.ndim == 3:
            return ({"image_bytes": png(pixels)} for pixels in samples.inputs)
        fields = TIPS if samples.inputs.shape[1] == len(TIPS) else ANGLES
        return (_named(fields, row) for row in samples.inputs)

    def show(self, sample: Array) -> bytes | str:
        """The picture, or the numbers by name."""
        if sample.ndim == 2:
            return png(sample)
        fields = TIPS if len(sample) == len(TIPS) else ANGLES
        return ", ".join(f"{name} {value:.3g}" for name, value in _named(fields, sample).items())


PLUGIN = Clock()
