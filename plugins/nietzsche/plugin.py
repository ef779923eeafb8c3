"""Nietzsche, character by character: an LSTM that learns to go on writing (book 8.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    Variant,
)
from plugins.nietzsche.data import read_corpus, split, unigram_nats
from plugins.nietzsche.model import TextConfig, build
from plugins.nietzsche.page import page
from plugins.nietzsche.raw import LIKELIEST
from plugins.nietzsche.writer import LONGEST_CHUNK, LONGEST_PROMPT, Carried, Memory, Window, Writer

TEMPERATURES = (0.2, 0.5, 1.0, 1.2)

STEPS = InputField(
    name="steps",
    dtype="int32",
    description="characters to write in this call",
    default=400,
    minimum=0,
    maximum=LONGEST_CHUNK,
)
PROMPT = InputField(
    name="prompt",
    dtype="string",
    content="text",
    description=f"the text to go on from: its last {LONGEST_PROMPT} characters are read, in lower case; a character "
    "outside the alphabet as a space, an empty prompt as a line break",
    default="",
)
TEMPERATURE = InputField(
    name="temperature",
    dtype="float32",
    description="0 takes the likeliest character, below 1 is careful, above 1 is daring",
    default=0.5,
    minimum=0,
    maximum=2,
)
TOP_K = InputField(
    name="top_k", dtype="int32", description="draw from so many of the likeliest; 0: from all", default=0, minimum=0
)
TOP_P = InputField(
    name="top_p",
    dtype="float32",
    description="draw from the likeliest whose chances add up to this",
    default=1.0,
    minimum=0,
    maximum=1,
)
LOGPROBS = InputField(
    name="logprobs",
    dtype="bool",
    description="tell how likely each character was, and which were likelier",
    default=False,
)
SEED = InputField(name="seed", dtype="int64", description="same seed, same text", default=0)


class Nietzsche(Plugin[TextConfig]):
    """Trains on every passage of a text, and serves `start` and `continue`."""

    name = "nietzsche"
    title = "Nietzsche, character by character"
    task = Task.GENERATE_TEXT
    metric = Metric("loss", higher_is_better=False, unit="nats per character")
    protocol = HoldOut(validation=1000, in_order=True)
    config = TextConfig
    variants = MappingProxyType(
        {
            "stateful": Variant(
                "LSTM(128) taught at every position, its state carried from character to character",
                settings={"epochs": 10, "step": 60, "batch_size": 32, "optimizer": "adam"},
            ),
            "windowed": Variant("the book's LSTM(128): reads the last 60 characters again for each new one"),
        }
    )

    def load_data(self, config: TextConfig, datasets: Datasets) -> Data:
        """Passages as code points; the test is the last tenth of the text."""
        return split(read_corpus(datasets, config.corpus), config.window, config.step)

    def build_model(self, config: TextConfig, variant: str, train: Samples) -> Any:
        """The alphabet is that of the training text."""
        return build(config, every_position=variant == "stateful", train=train)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """Guess by the training text's character frequencies; and, to see what that is worth, all alike."""
        characters = len(np.unique(data.train.targets))
        unigram = unigram_nats(data.train.targets, data.test.targets)
        return {"loss": unigram, "uniform_loss": float(np.log(characters))}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`start` reads a prompt and writes; `continue` goes on from the state that the call before returned."""
        writer = Writer(model, _memory_of(model))
        written = (
            OutputField(name="text", dtype="string", content="text", description="the new characters only"),
            OutputField(name="finished", dtype="bool", description="never: the model knows no last character"),
            OutputField(name="logprobs", dtype="float32", shape=(None,), description="of each character, if asked for"),
            OutputField(name="top_characters", dtype="string", shape=(None, LIKELIEST), description="the likeliest"),
            OutputField(name="top_logprobs", dtype="float32", shape=(None, LIKELIEST), description="of them"),
            *(OutputField(name=s.name, dtype=s.dtype, shape=s.shape, content="state") for s in writer.fields),
        )
        asked = {"steps": 400, "temperature": 0.5, "top_k": 0, "top_p": 1.0, "logprobs": False, "seed": 7}
        empty = {s.name: np.zeros([size or 1 for size in s.shape], s.dtype).tolist() for s in writer.fields}
        return {
            "start": Signature(
                Task.GENERATE_TEXT,
                writer.start,
                (PROMPT, STEPS, TEMPERATURE, TOP_K, TOP_P, LOGPROBS, SEED),
                written,
                {"prompt": "the eternal recurrence of ", **asked},
                "Write on from a prompt",
            ),
            "continue": Signature(
                Task.GENERATE_TEXT,
                writer.go_on,
                (STEPS, *writer.fields),
                written,
                {"steps": 20, **empty},
                "Write on from a state",
            ),
        }

    def figures(self, model: Any, data: Data, config: TextConfig) -> Iterator[Figure]:
        """400 characters at each of the book's temperatures, after the test text's first passage (listing 8.7)."""
        prompt = self.show(data.test.inputs[0])
        count = len(TEMPERATURES)
        written = tf.function(self.signatures(model)["start"].function)(
            tf.constant([prompt] * count),
            tf.fill([count], 400),
            tf.constant(TEMPERATURES),
            tf.zeros(count, tf.int32),
            tf.ones(count),
            tf.zeros(count, tf.bool),
            tf.range(count, dtype=tf.int64),
        )
        texts = {f"temperature {t}": s.decode() for t, s in zip(TEMPERATURES, written["text"].numpy(), strict=True)}
        yield Figure("samples", f"400 characters written after {prompt!r}", page(texts))

    def show(self, sample: Array) -> str:
        """The passage."""
        return "".join(map(chr, sample))


def _memory_of(model: Any) -> Memory:
    lstm = model.get_layer("lstm")
    return Carried(lstm.units) if lstm.return_sequences else Window(model.input_shape[1])


PLUGIN = Nietzsche()
