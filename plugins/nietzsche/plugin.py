"""Nietzsche, character by character or word by word: a network that learns to go on writing (book 8.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import (
    Data,
    Datasets,
    Figure,
    HoldOut,
    Metric,
    Plugin,
    Samples,
    Signature,
    Task,
    Variant,
)
from plugins.nietzsche.cell import Gru, Lstm
from plugins.nietzsche.convnet import RECEPTIVE, Convolutions
from plugins.nietzsche.data import read_corpus, split, text_of, unigram_nats
from plugins.nietzsche.memory import Carried, Memory, Window
from plugins.nietzsche.model import TextConfig, build
from plugins.nietzsche.page import page
from plugins.nietzsche.signatures import signatures_of
from plugins.nietzsche.writer import Writer

TEMPERATURES = (0.2, 0.5, 1.0, 1.2)


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
                settings={"epochs": 10, "batch_size": 32},
            ),
            "gru": Variant(
                "GRU(128) in place of the LSTM of `stateful`",
                settings={"network": "gru", "epochs": 10, "batch_size": 32},
            ),
            "conv1d": Variant(
                f"three dilated convolutions (128) over the last {RECEPTIVE} characters, taught at every position",
                settings={
                    "network": "conv1d",
                    "epochs": 12,
                    "batch_size": 32,
                    "window": RECEPTIVE,
                    "step": RECEPTIVE,
                    "dropout": 0.3,
                    "learning_rate": 0.003,
                },
            ),
            "words": Variant(
                "LSTM(128) over the 5,000 most frequent words and marks, its state carried from word to word",
                settings={"tokens": "words", "epochs": 15, "batch_size": 32, "dropout": 0.3, "learning_rate": 0.005},
                protocol=HoldOut(validation=200, in_order=True),
            ),
            "windowed": Variant(
                "the book's LSTM(128): reads the last 60 characters again for each new one",
                settings={"every_position": False, "step": 3, "optimizer": "rmsprop"},
            ),
        }
    )

    def load_data(self, config: TextConfig, datasets: Datasets) -> Data:
        """Passages as code points, or as numbers of words; the test is the last tenth of the text."""
        return split(read_corpus(datasets, config.corpus), config)

    def build_model(self, config: TextConfig, variant: str, train: Samples) -> Any:
        """The characters, or the words, are those of the training text."""
        return build(config, train)

    def baseline(self, data: Data) -> Mapping[str, float]:
        """Guess by the training text's character frequencies; and, to see what that is worth, all alike."""
        train, test = (text_of(part.targets, part.assets) for part in (data.train, data.test))
        return {"loss": unigram_nats(train, test), "uniform_loss": float(np.log(len(set(train))))}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`start` reads a prompt and writes; `continue` goes on from the state that the call before returned."""
        return signatures_of(Writer(memory_of(model), model.get_layer("tokens")))

    def figures(self, model: Any, data: Data, config: TextConfig) -> Iterator[Figure]:
        """400 tokens at each of the book's temperatures, after the test text's first passage (listing 8.7)."""
        prompt = text_of(data.test.inputs[0], data.test.assets)
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
        yield Figure("samples", f"400 {config.tokens} written after {prompt!r}", page(texts))


def memory_of(model: Any) -> Memory:
    """The model's weights, laid out for writing."""
    names = {layer.name for layer in model.layers}
    if "filter_1" in names:
        return Convolutions.of(model)
    cell = Gru.of(model) if "gru" in names else Lstm.of(model)
    return Carried(cell) if len(model.output_shape) == 3 else Window(cell, model.input_shape[1])


PLUGIN = Nietzsche()
