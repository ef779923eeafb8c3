"""A photograph in the style of another picture (book 8.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import (
    Array,
    Data,
    Datasets,
    Figure,
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
from plugins.pictures import EXAMPLE, IMAGE
from plugins.slices import PROGRESS, state_in, state_out, work
from plugins.style_transfer import painter
from plugins.style_transfer.data import StyleConfig, load
from plugins.style_transfer.figures import png, side_by_side
from plugins.style_transfer.losses import Weights
from plugins.style_transfer.model import Judge, build_eyes
from plugins.style_transfer.painter import FAST, build_fast, paint
from plugins.style_transfer.transfer import LARGEST, MOST_STEPS, SMALLEST, STATES, Transfer, example_state

PICTURE = OutputField(name="image_bytes", dtype="string", content="image", description="PNG")
LOSS = OutputField(name="loss", dtype="float32", description="of this picture: what the steps make small")
STYLE = InputField(
    name="style_bytes",
    dtype="string",
    content="image",
    description="the picture whose style the other gets; PNG or JPEG of any size",
)
STEPS = InputField(
    name="steps", dtype="int32", description="of gradient descent", default=40, minimum=0, maximum=MOST_STEPS
)
SIZE = InputField(
    name="size",
    dtype="int32",
    description="the longer side of the picture, and of the style's, in pixels",
    default=256,
    minimum=SMALLEST,
    maximum=LARGEST,
)
FAST_SIZE = SIZE.model_copy(
    update={"description": "the longer side of the picture, in pixels", "default": 512, "maximum": painter.LARGEST}
)
WEIGHTS = tuple(
    InputField(
        name=f"{name}_weight", dtype="float32", description=f"of the {what}", default=default, minimum=0, maximum=1000
    )
    for (name, default), what in zip(
        Weights()._asdict().items(),
        ("photograph's content", "style", "differences between neighbouring pixels"),
        strict=True,
    )
)
INPUTS = (IMAGE, STYLE, STEPS, SIZE, *WEIGHTS)
WORK = work(MOST_STEPS, "steps")
SLICE = (PICTURE, LOSS, PROGRESS, *(state_out(name) for name in STATES))
EXAMPLE_STYLE = png(np.full((48, 48, 3), (200, 120, 60), np.uint8) * (np.arange(48) % 8 < 4)[:, None, None])
QUICK = {"steps": 10, "size": 128}


class StyleTransfer(Plugin[StyleConfig]):
    """Paints a photograph in another picture's style: by descent on its pixels, or by a network that learned to."""

    name = "style_transfer"
    title = "A photograph in another picture's style"
    task = Task.GENERATE_IMAGE
    metric = Metric("loss_ratio", higher_is_better=False, unit="times the photograph's own loss")
    protocol = Untrained()
    config = StyleConfig
    variants = MappingProxyType(
        {
            "vgg16": Variant("any style, by descent on the pixels; VGG16 judges, from a mirror or Keras's address"),
            "vgg19": Variant("the same; the book's VGG19 judges, from Keras's address"),
            FAST: Variant(
                "one style, learned by a small network, in a single pass",
                settings={"mixed_precision": True},
                protocol=HoldOut(validation=0.05),
            ),
        }
    )

    def load_data(self, config: StyleConfig, datasets: Datasets) -> Data:
        """Photographs, a style, and the weights of VGG16 where they can be had."""
        return load(config, datasets)

    def build_model(self, config: StyleConfig, variant: str, train: Samples) -> Any:
        """The network that judges; `fast` is one of its own and is judged by VGG16. Raises Unavailable."""
        if variant == FAST:
            return build_fast(config, train, Judge(build_eyes("vgg16", train.assets), train.assets["style"]))
        return build_eyes(variant, train.assets)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """The photograph itself."""
        return {self.metric.name: 1.0}

    def evaluate(self, model: Any, samples: Samples, config: StyleConfig) -> Mapping[str, float]:
        """The mean over photographs: of what `fast` painted, or after a quick small descent."""
        if model.name == FAST:
            return super().evaluate(model, samples, config)
        draw = self._drawing(model, samples)
        first, last = {**QUICK, "steps": 0}, QUICK
        ratios = [float(draw(file, last)["loss"][0] / draw(file, first)["loss"][0]) for file in samples.inputs]
        return {self.metric.name: float(np.mean(ratios))}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`generate` takes a photograph, and a style unless that was learned."""
        return self._fast(model) if model.name == FAST else self._descending(model)

    def figures(self, model: Any, data: Data, config: StyleConfig) -> Iterator[Figure]:
        """Each held-out photograph, the style, and what became of them."""
        style = data.test.assets["style"]
        draw = self._drawing(model, data.test)
        for number, file in enumerate(data.test.inputs):
            drawn = draw(file, {"steps": 20, "size": 192})["image_bytes"].numpy()[0]
            yield Figure(f"style{number}", "Photograph, style, picture", side_by_side(file, png(style), drawn))

    def show(self, sample: Array) -> bytes:
        """The photograph as a PNG."""
        return png(np.round(sample).astype(np.uint8))

    def _descending(self, eyes: Any) -> Mapping[str, Signature]:
        transfer, states = Transfer(eyes), tuple(state_in(name) for name in STATES)
        weights = {field.name: field.default for field in WEIGHTS}
        asked = {"image_bytes": EXAMPLE, "style_bytes": EXAMPLE_STYLE, "steps": 2, "size": SMALLEST, **weights}
        return {
            "generate": Signature(
                self.task, transfer.generate, INPUTS, (PICTURE, LOSS), asked, "A photograph in another picture's style"
            ),
            "start": Signature(
                self.task, transfer.start, (*INPUTS, WORK), SLICE, {**asked, "work": 1}, "Its first steps"
            ),
            "continue": Signature(
                self.task,
                transfer.go_on,
                (WORK, *states),
                SLICE,
                {"work": 1, **example_state(eyes)},
                "Further steps",
            ),
        }

    def _fast(self, model: Any) -> Mapping[str, Signature]:
        asked = {"image_bytes": EXAMPLE, "size": SMALLEST}
        description = "A photograph in the style that was learned"
        function = partial(paint, model)
        return {"generate": Signature(self.task, function, (IMAGE, FAST_SIZE), (PICTURE,), asked, description)}

    def _drawing(self, model: Any, samples: Samples) -> Callable[[bytes, Mapping[str, Any]], Mapping[str, Any]]:
        """`generate` as a function of a photograph's file and knobs, with the samples' style; traced once."""
        signature = self.signatures(model)["generate"]
        specs = [tf.TensorSpec((None,), field.dtype) for field in signature.inputs]
        traced = tf.function(signature.function, input_signature=specs)
        style = png(samples.assets["style"])

        def draw(file: bytes, knobs: Mapping[str, Any]) -> Mapping[str, Any]:
            row = {**signature.example, "style_bytes": style, **knobs, "image_bytes": file}
            return traced(*(tf.constant([row[field.name]], field.dtype) for field in signature.inputs))

        return draw


PLUGIN = StyleTransfer()
