"""What is a newswire about? One of 46 topics (book 3.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from plugins.attribution import explanation, word_attributions
from plugins.contract import (
    Array,
    BookFigure,
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
from plugins.newswires import TOPICS, load, text_of, words_in
from plugins.reuters.model import NewswiresConfig, build
from plugins.targets import BEST, target_field
from plugins.texts import beginning, numbers_of, words_of

TEXT = InputField(
    name="text", dtype="string", content="text", description="a newswire in English; its first 64 KiB are read"
)
NUMBERS = InputField(
    name="numbers",
    dtype="int32",
    shape=(None,),
    description="as keras.datasets.reuters numbers words: 0 padding, 1 start, 2 unknown, then rank + 3",
    minimum=0,
)
SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(TOPICS),), content="scores", description="chances", labels=TOPICS
)
EXAMPLE = "Crude oil prices rose after OPEC ministers agreed to cut output by one mln barrels per day, traders said."


class Reuters(Plugin[NewswiresConfig]):
    """Learns from the published numbers of words, answers raw text."""

    name = "reuters"
    title = "Topics of Reuters newswires"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=1000)
    config = NewswiresConfig
    variants = MappingProxyType(
        {
            "dense": Variant(
                "two hidden layers of 64 units, 647,214 parameters",
                book=BookFigure(metric="accuracy", value=0.79697, section="3.5"),
            ),
            "bottleneck": Variant(
                "a second hidden layer of 4 units, too few for 46 topics; 640,554 parameters",
                book=BookFigure(metric="accuracy", value=0.71, section="3.5.7"),
            ),
            "one_hot": Variant(
                "dense, taught by one-hot rows: the same model, whichever form the topics come in",
                book=BookFigure(metric="accuracy", value=0.79697, section="3.5"),
            ),
        }
    )

    def load_data(self, config: NewswiresConfig, datasets: Datasets) -> Data:
        """Numbers of words, all 30,979 of them, and topics."""
        return load(datasets)

    def build_model(self, config: NewswiresConfig, variant: str, train: Samples) -> Any:
        """The words come with the samples."""
        return build(config, variant, words_in(train.assets))

    def baseline(self, data: Data) -> Mapping[str, float]:
        """The most frequent topic; and the book's, answering with the test topics in another order (3.5.4).

        The latter is the mean over all orders, the sum of the topics' squared shares, where the book draws one.
        """
        shares = np.bincount(data.test.targets) / len(data.test)
        return {**super().baseline(data), "shuffled_accuracy": float(np.sum(shares**2))}

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` and `explain` take raw text, `serving_default` numbers of words."""

        def read(text: Any) -> Any:
            return numbers_of(model.words, beginning(text)).to_tensor()

        def classify(text: Any) -> Mapping[str, Any]:
            return {"scores": model(read(text))}

        def explain(text: Any, target: Any) -> Mapping[str, Any]:
            return {
                "words": words_of(beginning(text)).to_tensor(""),
                "attributions": word_attributions(model, read(text), target),
            }

        def classify_numbers(numbers: Any) -> Mapping[str, Any]:
            return {"scores": model(numbers)}

        return {
            "classify": Signature(
                Task.CLASSIFY, classify, (TEXT,), (SCORES,), {"text": EXAMPLE}, "Tell a newswire's topic"
            ),
            "serving_default": Signature(
                Task.CLASSIFY,
                classify_numbers,
                (NUMBERS,),
                (SCORES,),
                {"numbers": numbers_of(model.words, [EXAMPLE]).numpy()[0].tolist()},
                "Tell a newswire's topic by the numbers of its words",
            ),
            "explain": Signature(
                Task.EXPLAIN,
                explain,
                (TEXT, target_field(len(TOPICS))),
                explanation("the topic's chance"),
                {"text": EXAMPLE, "target": BEST},
                "Which words moved a topic's chance",
            ),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each newswire as the text of its words, the rare ones too."""
        words = words_in(samples.assets)
        return ({"text": text_of(numbers, words)} for numbers in samples.inputs)

    def show(self, sample: Array) -> str:
        """The numbers of the words."""
        return " ".join(map(str, sample[sample > 0]))


PLUGIN = Reuters()
