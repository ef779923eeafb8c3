"""Is a film review positive or negative? (book 3.4, 4.4, 6.1 to 6.4)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from plugins.attribution import explanation, word_attributions
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
)
from plugins.imdb.data import LABELS, load, texts_of, words_of
from plugins.imdb.model import ReviewsConfig, build
from plugins.imdb.variants import VARIANTS
from plugins.texts import FIRST, MARKS, UNKNOWN, words_by_number

TEXT = InputField(
    name="text",
    dtype="string",
    content="text",
    description="a review in English, as written: capitals, punctuation and HTML breaks may stay",
)
SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(LABELS),), content="scores", description="chances", labels=LABELS
)
EXAMPLE = {"text": "What a wonderful film! The story is moving, and I enjoyed every minute of it."}


class Imdb(Plugin[ReviewsConfig]):
    """Learns from the published numbers of words, answers raw text."""

    name = "imdb"
    title = "Film reviews, positive or negative"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    # 3.4: validated on 10,000 reviews, then trained afresh on all 25,000.
    protocol = HoldOut(validation=10_000, refit=True)
    config = ReviewsConfig
    words: Sequence[str] = ()  # by number, once data are loaded, for people to read
    variants = VARIANTS

    def load_data(self, config: ReviewsConfig, datasets: Datasets) -> Data:
        """Reviews as the numbers of their words, read batch by batch."""
        data = load(config, datasets)
        self.words = [*MARKS, *words_of(data.train.assets)]
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
                "attributions": word_attributions(model, model.reader(text), tf.zeros(tf.shape(text), tf.int32)),
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
                Task.EXPLAIN,
                explain,
                (TEXT,),
                explanation("the chance that the review is positive"),
                EXAMPLE,
                "Which words moved the chance that it is positive",
            ),
        }

    def row_words(self, model: Any) -> Sequence[str]:
        """The marks, then the words that the model knows."""
        return words_by_number(model.reader.words)

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each review as text, of which its numbers were made."""
        return ({"text": text} for text in texts_of(samples))

    def show(self, sample: Array) -> str:
        """The words, ? for one that is not known (listing 3.1)."""
        return " ".join(self.words[number] for number in sample if number >= UNKNOWN)


PLUGIN = Imdb()
