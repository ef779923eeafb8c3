"""Are two newswires about the same thing? One LSTM reads both (book 7.1.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.attribution import erasure_attributions, explanation
from plugins.contract import (
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
    Variant,
)
from plugins.newswires import text_of, words_in
from plugins.siamese_texts.data import LABELS, VALIDATION_PAIRS, best_threshold, load, shared_words
from plugins.siamese_texts.model import PairsConfig, build
from plugins.targets import BEST, target_field
from plugins.texts import MARKS, UNKNOWN, beginning, first, numbers_of, words_by_number

SIDES = ("left", "right")
SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(LABELS),), content="scores", description="chances", labels=LABELS
)
EXAMPLE = {
    "left": "Crude oil prices rose after OPEC ministers agreed to cut output.",
    "right": "Saudi Arabia will hold its oil production below its OPEC quota, the minister said.",
}


class SiameseTexts(Plugin[PairsConfig]):
    """Learns from the published numbers of words, answers two raw texts."""

    name = "siamese_texts"
    title = "Two newswires, one topic?"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=VALIDATION_PAIRS, in_order=True)
    config = PairsConfig
    variants = MappingProxyType({"lstm": Variant("one LSTM of 32 units reads both texts; the score is symmetric")})

    def load_data(self, config: PairsConfig, datasets: Datasets) -> Data:
        """Numbers of words, for two texts."""
        return load(datasets, config.length)

    def build_model(self, config: PairsConfig, variant: str, train: Samples) -> Any:
        """The words come with the samples."""
        return build(config, words_in(train.assets))

    def baseline(self, data: Data) -> Mapping[str, float]:
        """The more frequent class, right half of the time; and, reading nothing: "same" if many words are shared."""
        threshold = best_threshold(shared_words(data.train), data.train.targets)
        right = (shared_words(data.test) >= threshold) == data.test.targets
        return {**super().baseline(data), "shared_words_accuracy": float(np.mean(right))}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` and `explain` take two raw texts, `serving_default` numbers of words."""
        length = model.input["left"].shape[1]
        texts, numbers = _fields(length)
        words = [*MARKS, *self.row_words(model)[len(MARKS) :]]

        def compare(left_numbers: Any, right_numbers: Any) -> Mapping[str, Any]:
            same = model({"left": left_numbers, "right": right_numbers})
            return {"scores": tf.concat([1 - same, same], axis=1)}

        def read(text: Any) -> Any:
            return first(numbers_of(model.words, beginning(text)), length)

        def classify(left: Any, right: Any) -> Mapping[str, Any]:
            return compare(read(left), read(right))

        def explain(left: Any, right: Any, target: Any) -> Mapping[str, Any]:
            both = tf.concat([read(left), read(right)], axis=1)
            return {
                "words": tf.gather(tf.constant(words), both),
                "attributions": erasure_attributions(
                    lambda rows: compare(rows[:, :length], rows[:, length:])["scores"], both, target, UNKNOWN
                ),
            }

        example = {f"{side}_numbers": read([text]).numpy()[0].tolist() for side, text in EXAMPLE.items()}
        return {
            "classify": Signature(Task.CLASSIFY, classify, texts, (SCORES,), EXAMPLE, "Compare two newswires"),
            "serving_default": Signature(
                Task.CLASSIFY,
                compare,
                numbers,
                (SCORES,),
                example,
                "Compare newswires by their words' numbers",
            ),
            "explain": Signature(
                Task.EXPLAIN,
                explain,
                (*texts, target_field(len(LABELS))),
                explanation("the chance of an answer; the left text's come first"),
                {**EXAMPLE, "target": BEST},
                "Which words moved the answer",
            ),
        }

    def row_words(self, model: Any) -> Sequence[str]:
        """The marks, then the words that the model knows."""
        return words_by_number(model.words)

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each pair as two texts, as far as they are read."""
        words = words_in(samples.assets)
        for pair in zip(*(samples.inputs[side] for side in SIDES), strict=True):
            yield {side: text_of(numbers, words) for side, numbers in zip(SIDES, pair, strict=True)}

    def show(self, sample: Mapping[str, Any]) -> str:
        """The numbers of the words of both."""
        return "\n\n".join(" ".join(map(str, sample[side][sample[side] > 0])) for side in SIDES)


def _fields(length: int) -> tuple[tuple[InputField, ...], tuple[InputField, ...]]:
    """The raw inputs and the numeric ones."""
    told = "as keras.datasets.reuters numbers words: 0 padding, 1 start, 2 unknown, then rank + 3"
    read = f"a newswire; its first {length - 1} words are read"
    texts = (InputField(name=side, dtype="string", content="text", description=read) for side in SIDES)
    numbers = (
        InputField(name=f"{side}_numbers", dtype="int32", shape=(length,), description=told, minimum=0)
        for side in SIDES
    )
    return tuple(texts), tuple(numbers)


PLUGIN = SiameseTexts()
