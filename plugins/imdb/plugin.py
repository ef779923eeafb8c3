"""Is a film review positive or negative? (book 3.4, 4.4, 6.1 to 6.4)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from plugins.attribution import word_attributions
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
from plugins.imdb.data import LABELS, load, texts_of, words_of
from plugins.imdb.model import ReviewsConfig, build
from plugins.texts import FIRST, UNKNOWN

TEXT = InputField(
    name="text",
    dtype="string",
    content="text",
    description="a review in English, as written: capitals, punctuation and HTML breaks may stay",
)
SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(LABELS),), content="scores", description="chances", labels=LABELS
)
EXPLANATION = (
    OutputField(name="words", dtype="string", shape=(None,), content="words", description="those that were read"),
    OutputField(
        name="attributions",
        dtype="float32",
        shape=(None,),
        content="attributions",
        description="how much each word moved the chance that the review is positive",
    ),
)
EXAMPLE = {"text": "What a wonderful film! The story is moving, and I enjoyed every minute of it."}

# 3.4: validated on 10,000 reviews, then trained afresh on all 25,000.
BAG = HoldOut(validation=10_000, refit=True)
# 6.1.3: trained on 200 reviews, validated on 10,000.
FEW, FEW_SAMPLES = HoldOut(validation=10_000), 10_200
# 6.2 to 6.4: the last 500 words. The learning rate falls to 0, so that few epochs do: each takes a minute or two.
SEQUENCE = {"length": 500, "batch_size": 128, "cosine": True}
LSTM = {**SEQUENCE, "epochs": 4, "optimizer": "adam", "learning_rate": 2e-3}
HUNDRED_WORDS = {"length": 100, "epochs": 10, "batch_size": 32}


def book(value: float, section: str) -> BookFigure:
    """An accuracy that the book states."""
    return BookFigure(metric="accuracy", value=value, section=section)


def studied(summary: str) -> Variant:
    """A bag of words that 4.4 compares with the first one, over the 20 epochs that its pictures show."""
    return Variant(summary, settings={"epochs": 20}, protocol=BAG)


class Imdb(Plugin[ReviewsConfig]):
    """Learns from the published numbers of words, answers raw text."""

    name = "imdb"
    title = "Film reviews, positive or negative"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=5_000)
    config = ReviewsConfig
    words: Sequence[str] = ()  # by number, once data are loaded, for people to read
    variants = MappingProxyType(
        {
            "bag_of_words": Variant(
                "which words occur; two hidden layers of 16 units, 160,305 parameters",
                book=book(0.88328, "3.4"),
                protocol=BAG,
            ),
            "smaller": studied("a bag of words; hidden layers of 4 units, 40,029 parameters"),
            "larger": studied("a bag of words; hidden layers of 512 units, 5,383,681 parameters"),
            "l1": studied("bag_of_words with an L1 penalty of 0.001 on its weights"),
            "l2": studied("bag_of_words with an L2 penalty of 0.001 on its weights"),
            "dropout": studied("bag_of_words with half of the hidden units dropped"),
            "embedding_20": Variant(
                "the last 20 words, a learned vector of 8 each, 80,161 parameters",
                settings={"length": 20, "epochs": 10, "batch_size": 32},
                book=book(0.76, "6.1.2"),
            ),
            "embedding_500": Variant(
                "the last 500 words, a learned vector of 8 each, 84,001 parameters",
                settings={"length": 500, "epochs": 10, "batch_size": 32},
            ),
            "glove_200": Variant(
                "GloVe's vectors of the last 100 words, trained on 200 reviews",
                settings={**HUNDRED_WORDS, "samples": FEW_SAMPLES, "embedding": "glove"},
                book=book(0.56, "6.1.3"),
                protocol=FEW,
            ),
            "learned_200": Variant(
                "learned vectors of the last 100 words, trained on 200 reviews",
                settings={**HUNDRED_WORDS, "samples": FEW_SAMPLES},
                protocol=FEW,
            ),
            "glove_all": Variant(
                "GloVe's vectors of the last 100 words, trained on all reviews",
                settings={**HUNDRED_WORDS, "embedding": "glove"},
            ),
            "learned_all": Variant("learned vectors of the last 100 words, on all reviews", settings=HUNDRED_WORDS),
            "simple_rnn": Variant(
                "a SimpleRNN(32) over the last 500 words, 322,113 parameters",
                settings={**SEQUENCE, "epochs": 6},
                book=book(0.85, "6.2.1"),
            ),
            "lstm": Variant(
                "an LSTM(32) over the last 500 words, 328,353 parameters", settings=LSTM, book=book(0.89, "6.2.3")
            ),
            "lstm_reversed": Variant(
                "an LSTM(32) over the first 500 words, last word first, 1,300,641 parameters",
                settings={**LSTM, "from_start": True},
            ),
            "bidirectional_lstm": Variant(
                "LSTM(32) both ways over the last 500 words, 336,705 parameters",
                settings=LSTM,
                book=book(0.89, "6.3.8"),
            ),
            "conv1d": Variant(
                "two 1D convolutions over the last 500 words, 1,315,937 parameters", settings={**SEQUENCE, "epochs": 3}
            ),
        }
    )

    def load_data(self, config: ReviewsConfig, datasets: Datasets) -> Data:
        """Reviews as the numbers of their words, read batch by batch."""
        data = load(config, datasets)
        self.words = ["", "", "?", "", *words_of(data.train.assets)]
        return data

    def build_model(self, config: ReviewsConfig, variant: str, train: Samples) -> Any:
        """The words, and their vectors if the variant takes GloVe's, come with the samples."""
        return build(config, variant, words_of(train.assets), train.assets.get("vectors"), len(train))

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` takes raw text, `serving_default` numbers of words."""
        numbers = InputField(
            name="numbers",
            dtype="int32",
            shape=(model.reader.length,),
            description="as keras.datasets.imdb numbers words: 0 padding, 1 start, 2 unknown, then rank + 3",
            minimum=0,
            maximum=model.reader.words.vocabulary_size() + FIRST - 2,
        )

        def scores(numbers: Any) -> Mapping[str, Any]:
            positive = model(numbers)
            return {"scores": tf.concat([1 - positive, positive], axis=1)}

        def classify(text: Any) -> Mapping[str, Any]:
            return scores(model.reader(text))

        def explain(text: Any) -> Mapping[str, Any]:
            return {
                "words": model.reader.words_read(text),
                "attributions": word_attributions(model, model.reader(text)),
            }

        return {
            "classify": Signature(Task.CLASSIFY, classify, (TEXT,), (SCORES,), EXAMPLE, "Judge a review"),
            "serving_default": Signature(
                Task.CLASSIFY,
                scores,
                (numbers,),
                (SCORES,),
                {"numbers": model.reader(tf.constant([EXAMPLE["text"]])).numpy()[0].tolist()},
                "Judge a review by the numbers of its words",
            ),
            "explain": Signature(
                Task.EXPLAIN, explain, (TEXT,), EXPLANATION, EXAMPLE, "Which words moved the chance that it is positive"
            ),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each review as text, of which its numbers were made."""
        return ({"text": text} for text in texts_of(samples))

    def show(self, sample: Array) -> str:
        """The words, ? for one that is not known (listing 3.1)."""
        return " ".join(self.words[number] for number in sample if number >= UNKNOWN)


PLUGIN = Imdb()
