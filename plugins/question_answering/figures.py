"""What a model attended to, as a picture for the run's report."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from plugins.contract import Samples
from plugins.question_answering.data import ANSWERS, text_of, words_in
from plugins.question_answering.model import ATTENTION

SHOWN = 5  # stories
WIDTH, LINE = 520, 22
BLUE = np.array((66, 133, 244))

Line = tuple[str, float]  # a text, and how much it mattered


def attention_page(model: Any, samples: Samples) -> bytes:
    """PNG: the last of these stories; the bluer a sentence, the more it mattered to the answer."""
    rows = np.arange(len(samples))[-SHOWN:]
    lines = [line for asked in rows for line in _told(model, samples.take(np.array([asked])))]
    image = Image.new("RGB", (WIDTH, LINE * len(lines)), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    for number, (text, weight) in enumerate(lines):
        colour = tuple(int(part) for part in np.rint(255 - weight * (255 - BLUE)))
        canvas.rectangle((0, number * LINE, WIDTH, (number + 1) * LINE), colour)
        canvas.text((12, number * LINE + 2), text, "black", font)
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def _told(model: Any, asked: Samples) -> Iterator[Line]:
    """The sentences of one story, the question with the answer, and an empty line."""
    words = words_in(asked.assets)
    attention = keras.Model(model.input, [model.get_layer(ATTENTION).output, model.output])
    weights, scores = (np.asarray(part)[0] for part in attention(dict(asked.inputs)))
    for sentence, weight in zip(asked.inputs["story"][0], weights, strict=True):
        if sentence.any():
            yield f"{text_of(sentence, words)}.  ({weight:.2f})", float(weight)
    right = ANSWERS[int(asked.targets[0])]
    yield f"{text_of(asked.inputs['question'][0], words)}?  {ANSWERS[int(scores.argmax())]}  (right: {right})", 0.0
    yield "", 0.0
