"""A learned style against descent for it: `python -m tests.benchmarks.styles FAST VGG16` writes docs/benchmarks.md.

FAST and VGG16 are folders of published versions of `style_transfer`, one of each variant, both of the default style.
Each held-out photograph, 256 pixels its longer side, gets the style from both, in a graph session, as a model server
calls them: the seconds of a call, and VGG16's total loss of the picture as many times as the photograph's own.
Needs TENSORGATE_DATASETS.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import tensorflow as tf

from plugins.contract import Array
from plugins.pictures import bounded, decode
from plugins.style_transfer.data import HELD_OUT, StyleConfig, load
from plugins.style_transfer.figures import png
from plugins.style_transfer.losses import Weights
from plugins.style_transfer.model import Judge, build_eyes
from plugins.style_transfer.plugin import INPUTS
from services.model_server.loader import SavedModelLoader
from services.trainer.sources.datasets import DatasetFetcher
from tests.benchmarks.page import table, write_section

SIZE = 256
DEFAULTS = {field.name: np.array([field.default], field.dtype) for field in INPUTS if field.default is not None}
CONTENT = StyleConfig().content_weight
WEIGHTS = Weights(content=CONTENT)
HEADING = "Styles"
NOTE = (
    "`style_transfer`: a style that `fast` has learned against descent for it by `vgg16`, 40 steps, at 256 pixels; "
    f"content weighs {CONTENT:g}. Losses are VGG16's of the picture, as many times as of the photograph."
)
HEAD = ("photograph", "fast, s", "vgg16, s", "times as fast", "fast, loss", "vgg16, loss", "times the loss")
Generate = Callable[..., tuple[bytes, float]]


def generate(folder: Path) -> Generate:
    """The version's signature of that name: the picture, and the seconds it took."""
    session, signatures = SavedModelLoader().load(folder)
    signature = signatures["generate"]

    def call(**columns: Array) -> tuple[bytes, float]:
        began = time.perf_counter()
        feeds = {signature.inputs[name].name: column for name, column in columns.items()}
        (pictures,) = session.run(feeds, [signature.outputs["image_bytes"].name])
        return pictures[0], time.perf_counter() - began

    return call


@dataclass(frozen=True)
class Painted:
    """Of one photograph, by one side: seconds, and the picture's loss as many times as the photograph's own."""

    seconds: float
    loss: float


def painted(generate: Generate, judge: Judge, **asked: Array) -> Painted:
    """Call it twice: the first call of a size is slower."""
    size = {"size": np.array([SIZE], np.int32)}
    generate(**{**asked, **size, **({"steps": np.array([1], np.int32)} if "steps" in asked else {})})
    picture, seconds = generate(**{**asked, **size})
    photograph = bounded(decode(asked["image_bytes"][0]), SIZE)[tf.newaxis]
    before, after = judge.losses(photograph, tf.cast(decode(picture), tf.float32)[tf.newaxis], WEIGHTS)
    return Painted(seconds, float(after[0] / before[0]))


def cells(name: str, fast: Painted, vgg16: Painted) -> tuple[str, ...]:
    """A row of the table."""
    faster, worse = vgg16.seconds / fast.seconds, fast.loss / vgg16.loss
    numbers = (f"{fast.seconds:.3f}", f"{vgg16.seconds:.1f}", f"{faster:.0f}", f"{fast.loss:.3f}", f"{vgg16.loss:.3f}")
    return name, *numbers, f"{worse:.1f}"


def mean(pictures: Sequence[Painted]) -> Painted:
    """Of seconds and of losses."""
    return Painted(fmean(one.seconds for one in pictures), fmean(one.loss for one in pictures))


def main(fast: Path, vgg16: Path) -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as cache:
        data = load(StyleConfig(crops=10), DatasetFetcher(Path(cache), os.environ["TENSORGATE_DATASETS"], print))
    style = data.test.assets["style"]
    judge = Judge(build_eyes("vgg16", data.train.assets), style)
    learned, descending = generate(fast), generate(vgg16)
    files = [np.array([file], object) for file in data.test.inputs]
    content = np.array([CONTENT], np.float32)
    asked = {**DEFAULTS, "style_bytes": np.array([png(style)], object), "content_weight": content}
    pairs = [
        (painted(learned, judge, image_bytes=file), painted(descending, judge, image_bytes=file, **asked))
        for file in files
    ]
    names = [Path(photograph.file).stem for photograph in HELD_OUT]
    rows = [cells(name, *pair) for name, pair in zip(names, pairs, strict=True)]
    whole = cells("mean", *map(mean, zip(*pairs, strict=True)))
    text = table(HEAD, *rows, whole)
    print(text)
    write_section(HEADING, f"{NOTE}\n\n{text}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
