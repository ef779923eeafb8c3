"""What does a network dream of when it looks at a photograph? (book 8.2)"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import (
    Array,
    Config,
    Data,
    Datasets,
    Figure,
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
from plugins.deep_dream.data import load
from plugins.deep_dream.dream import (
    LARGEST,
    LEAST_SCALE,
    MOST_OCTAVES,
    MOST_SCALE,
    MOST_STEPS,
    MOST_WORK,
    SMALLEST,
    STATES,
    Dreamer,
    example_state,
)
from plugins.deep_dream.model import LAYERS, build
from plugins.pictures import EXAMPLE, IMAGE, decode
from plugins.slices import PROGRESS, state_in, state_out, work

DEPTHS = ("shallow", "middle", "deep", "deepest")
WEIGHTS = (0.2, 3.0, 2.0, 1.5)  # listing 8.9
DREAM = OutputField(name="image_bytes", dtype="string", content="image", description="PNG")
EXCITEMENT = OutputField(
    name="excitement", dtype="float32", description="of the layers, as many times as by the photograph itself"
)
WORK = work(MOST_WORK, "steps")
SLICE = (DREAM, EXCITEMENT, PROGRESS, *(state_out(name) for name in STATES))
QUICK = {"octaves": 2, "octave_scale": 1.4, "steps": 3, "step_size": 0.02, "max_excitement": 10.0, "size": SMALLEST}


def _knobs(layers: tuple[str, ...]) -> tuple[InputField, ...]:
    """Listing 8.12's, with its numbers where two processors can keep up."""
    weights = (
        InputField(
            name=depth, dtype="float32", description=f"weight of {layer}", default=weight, minimum=0, maximum=100
        )
        for depth, layer, weight in zip(DEPTHS, layers, WEIGHTS, strict=True)
    )
    return (
        InputField(
            name="octaves", dtype="int32", description="sizes dreamt at", default=3, minimum=1, maximum=MOST_OCTAVES
        ),
        InputField(
            name="octave_scale",
            dtype="float32",
            description="from one size to the next",
            default=1.4,
            minimum=LEAST_SCALE,
            maximum=MOST_SCALE,
        ),
        InputField(name="steps", dtype="int32", description="at each size", default=20, minimum=0, maximum=MOST_STEPS),
        InputField(
            name="step_size",
            dtype="float32",
            description="how far a pixel moves on the average, of 1 from grey to white",
            default=0.01,
            minimum=0,
            maximum=0.5,
        ),
        InputField(
            name="max_excitement",
            dtype="float32",
            description="a size is left when the layers are as many times as active as by the photograph",
            default=10.0,
            minimum=1,
            maximum=1000,
        ),
        InputField(
            name="size",
            dtype="int32",
            description="the longer side of the dream, in pixels",
            default=320,
            minimum=SMALLEST,
            maximum=LARGEST,
        ),
        *weights,
    )


class DeepDream(Plugin[Config]):
    """Learns nothing here: asks networks that were trained on ImageNet for more of what they see."""

    name = "deep_dream"
    title = "Dreams of a network that looks at a photograph"
    task = Task.GENERATE_IMAGE
    metric = Metric("excitement", higher_is_better=True, unit="times the photograph's")
    protocol = Untrained()
    variants = MappingProxyType(
        {
            "efficientnet_lite0": Variant("EfficientNet-Lite0, from a mirror or a package"),
            "vgg16": Variant("VGG16, from a mirror or Keras's address; whose maps are larger"),
            "inception_v3": Variant("the book's InceptionV3, from Keras's address"),
        }
    )

    def load_data(self, config: Config, datasets: Datasets) -> Data:
        """Four photographs, and the weights."""
        return load(datasets)

    def build_model(self, config: Config, variant: str, train: Samples) -> Any:
        """The network of that name, as it was trained."""
        return build(variant, train.assets)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """The photograph itself."""
        return {"excitement": 1.0}

    def evaluate(self, model: Any, samples: Samples, config: Config) -> Mapping[str, float]:
        """The mean excitement after a quick small dream of each photograph."""
        dream = self._dreaming(model, QUICK)
        excited = [float(dream(file)["excitement"][0]) for file in samples.inputs]
        return {"excitement": float(np.mean(excited))}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`generate` takes a photograph and the knobs."""
        dreamer, inputs = Dreamer(model), (IMAGE, *_knobs(LAYERS[model.name]))
        photograph = {"image_bytes": EXAMPLE, **QUICK, **dict(zip(DEPTHS, WEIGHTS, strict=True))}
        states = tuple(state_in(name) for name in STATES)
        return {
            "generate": Signature(
                self.task, dreamer.generate, inputs, (DREAM, EXCITEMENT), photograph, "Dream of a photograph"
            ),
            "start": Signature(
                self.task, dreamer.start, (*inputs, WORK), SLICE, {**photograph, "work": 1}, "Its first steps"
            ),
            "continue": Signature(
                self.task, dreamer.go_on, (WORK, *states), SLICE, {"work": 1, **example_state()}, "Further steps"
            ),
        }

    def figures(self, model: Any, data: Data, config: Config) -> Iterator[Figure]:
        """Each photograph's dream."""
        dream = self._dreaming(model, {**QUICK, "octaves": 3, "steps": 10, "size": 192})
        for number, file in enumerate(data.test.inputs):
            dreamt = dream(file)
            caption = f"{float(dreamt['excitement'][0]):.1f} times as excited as by the photograph"
            yield Figure(f"dream{number}", caption, dreamt["image_bytes"].numpy()[0])

    def show(self, sample: Array) -> bytes:
        """The photograph as a PNG."""
        return tf.io.encode_png(decode(sample)).numpy()

    def _dreaming(self, model: Any, knobs: Mapping[str, Any]) -> Callable[[bytes], Mapping[str, Any]]:
        """The signature as a function of a picture's file; traced once, however many files."""
        signature = self.signatures(model)["generate"]
        row = {**signature.example, **knobs}
        _, *columns = (tf.constant([row[field.name]], field.dtype) for field in signature.inputs)
        traced = tf.function(signature.function)
        return lambda file: traced(tf.constant([file]), *columns)


PLUGIN = DeepDream()
