"""Who wrote that? Three answers from one text, trained together on posts of made-up people (book 7.1.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from plugins.social_posts.data import DECILES, GENDERS, load
from plugins.social_posts.model import PostsConfig, after_words, build
from plugins.targets import BEST, target_field

TEXT = InputField(name="text", dtype="string", content="text", description="a post, of which 64 words are read")
AGE = OutputField(name="age", dtype="float32", shape=(1,), content="values", description="of the author", unit="years")
INCOME = OutputField(
    name="income", dtype="float32", shape=(10,), content="scores", description="tenth by income", labels=DECILES
)
GENDER = OutputField(name="gender", dtype="float32", shape=(2,), content="scores", labels=GENDERS)
UNKNOWN = 1  # as TextVectorization numbers a word it does not know
EXAMPLE = "so tired after the exam, my campus bus was late again and my payday is not until prom. new mascara, love it"


class SocialPosts(Plugin[PostsConfig]):
    """Learns from text and what its author is, answers raw text."""

    name = "social_posts"
    title = "Age, income and gender from one post (of made-up people)"
    task = Task.CLASSIFY
    metric = Metric("income_accuracy", higher_is_better=True)
    protocol = HoldOut(validation=500)
    config = PostsConfig
    variants = MappingProxyType({"convnet": Variant("five convolutions, three heads")})

    def load_data(self, config: PostsConfig, datasets: Datasets) -> Data:
        """Texts as they are, three targets by name."""
        return load(datasets)

    def build_model(self, config: PostsConfig, variant: str, train: Samples) -> Any:
        """The network, knowing the words of this fold's training part."""
        return build(config, train.inputs)

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` takes a text; so do `explain_income`, `explain_gender` and `explain_age`."""
        heads = after_words(model)
        words = ["", "?", *model.words.get_vocabulary()[2:]]  # by number

        def answers(numbers: Any) -> Mapping[str, Any]:
            told = heads(numbers)
            female = told["gender"]
            return {**told, "gender": tf.concat([1 - female, female], axis=1)}

        def classify(text: Any) -> Mapping[str, Any]:
            return answers(model.words(text))

        def explain(head: OutputField) -> Signature:
            def explain_head(text: Any, target: Any) -> Mapping[str, Any]:
                numbers = tf.cast(model.words(text), tf.int32)
                return {
                    "words": tf.gather(tf.constant(words), numbers),
                    "attributions": erasure_attributions(
                        lambda rows: answers(rows)[head.name], numbers, target, struck=UNKNOWN
                    ),
                }

            return Signature(
                Task.EXPLAIN,
                explain_head,
                (TEXT, target_field(head.shape[0] or 1)),
                explanation(f"the {head.name}"),
                {"text": EXAMPLE, "target": BEST},
                f"Which words moved the {head.name}",
            )

        return {
            "classify": Signature(
                Task.CLASSIFY, classify, (TEXT,), (AGE, INCOME, GENDER), {"text": EXAMPLE}, "Guess at an author"
            ),
            **{f"explain_{head.name}": explain(head) for head in (INCOME, GENDER, AGE)},
        }

    def baseline(self, data: Data) -> Mapping[str, float]:
        """The median age, the most frequent income and gender."""
        seen, right = data.train.targets, data.test.targets
        most = {name: np.bincount(seen[name].reshape(-1).astype(int)).argmax() for name in ("income", "gender")}
        return {
            "income_accuracy": float(np.mean(right["income"] == most["income"])),
            "gender_accuracy": float(np.mean(right["gender"] == most["gender"])),
            "age_mae": float(np.mean(np.abs(right["age"] - np.median(seen["age"])))),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each post as it is."""
        return ({"text": text.decode()} for text in samples.inputs.tolist())

    def show(self, sample: Any) -> str:
        """The post."""
        return bytes(sample).decode()


PLUGIN = SocialPosts()
