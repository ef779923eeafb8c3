"""Where is Mary? A question about a story, answered by one word (book 7.1.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from plugins.attribution import erasure_attributions, explanation
from plugins.contract import (
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
from plugins.question_answering.data import ANSWERS, SENTENCES, WORDS, load, story_of, text_of, words_in
from plugins.question_answering.figures import attention_page
from plugins.question_answering.model import ATTENTION, AnswersConfig, build
from plugins.question_answering.raw import read_questions, read_stories
from plugins.targets import BEST, target_field

STORY = InputField(
    name="story",
    dtype="string",
    content="text",
    description=f"sentences, each ended by a full stop; the last {SENTENCES} are read, of each {WORDS} words",
)
QUESTION = InputField(
    name="question", dtype="string", content="text", description=f"its first {WORDS} words are read: where is ...?"
)
NUMBERS = (
    InputField(
        name="story_numbers", dtype="int32", shape=(SENTENCES, WORDS), description="numbers of words", minimum=0
    ),
    InputField(name="question_numbers", dtype="int32", shape=(WORDS,), description="numbers of words", minimum=0),
)
SCORES = OutputField(
    name="scores", dtype="float32", shape=(len(ANSWERS),), content="scores", description="chances", labels=ANSWERS
)
EXAMPLE = {
    "story": "Mary moved to the bathroom. John went to the hallway. Mary travelled to the office.",
    "question": "Where is Mary?",
}


class QuestionAnswering(Plugin[AnswersConfig]):
    """Two named inputs, a story and a question about it."""

    name = "question_answering"
    title = "Questions about a story"
    task = Task.CLASSIFY
    metric = Metric("accuracy", higher_is_better=True)
    protocol = HoldOut(validation=1000)
    config = AnswersConfig
    variants = MappingProxyType(
        {
            "attention": Variant(
                "a memory network: the question picks the sentence that answers it",
                settings={"epochs": 5, "optimizer": "adam", "learning_rate": 0.005},
            ),
            "two_lstms": Variant(
                "the book's: an LSTM reads the story, another the question",
                settings={"epochs": 12, "learning_rate": 0.002},
            ),
        }
    )

    def load_data(self, config: AnswersConfig, datasets: Datasets) -> Data:
        """Numbers of words."""
        return load(datasets)

    def build_model(self, config: AnswersConfig, variant: str, train: Samples) -> Any:
        """The words come with the samples."""
        return build(config, variant, words_in(train.assets))

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        """`classify` and `explain` take raw texts, `serving_default` numbers of words."""

        words = ["", *model.words.get_vocabulary()[1:]]  # by number

        def answer(story_numbers: Any, question_numbers: Any) -> Mapping[str, Any]:
            scores = model({"story": story_numbers, "question": question_numbers})
            asked = tf.reduce_any(story_numbers > 0, axis=(1, 2)) & tf.reduce_any(question_numbers > 0, axis=1)
            return {"scores": tf.where(asked[:, tf.newaxis], scores, 1 / len(ANSWERS))}

        def classify(story: Any, question: Any) -> Mapping[str, Any]:
            return answer(read_stories(model.words, story), read_questions(model.words, question))

        def of_rows(rows: Any) -> Any:
            told = tf.reshape(rows[:, : SENTENCES * WORDS], (-1, SENTENCES, WORDS))
            return answer(told, rows[:, SENTENCES * WORDS :])["scores"]

        def explain(story: Any, question: Any, target: Any) -> Mapping[str, Any]:
            told = tf.reshape(read_stories(model.words, story), (-1, SENTENCES * WORDS))
            rows = tf.concat([told, read_questions(model.words, question)], axis=1)
            return {
                "words": tf.gather(tf.constant(words), rows),
                "attributions": erasure_attributions(of_rows, rows, target, struck=0),
            }

        story, question = EXAMPLE.values()
        numbers = {
            "story_numbers": read_stories(model.words, [story]).numpy()[0].tolist(),
            "question_numbers": read_questions(model.words, [question]).numpy()[0].tolist(),
        }
        return {
            "classify": Signature(
                Task.CLASSIFY, classify, (STORY, QUESTION), (SCORES,), EXAMPLE, "Answer a question about a story"
            ),
            "serving_default": Signature(
                Task.CLASSIFY, answer, NUMBERS, (SCORES,), numbers, "Answer by the numbers of the words"
            ),
            "explain": Signature(
                Task.EXPLAIN,
                explain,
                (STORY, QUESTION, target_field(len(ANSWERS))),
                explanation("the chance of an answer; the question's come last"),
                {**EXAMPLE, "target": BEST},
                "Which words moved the answer",
            ),
        }

    def requests(self, samples: Samples) -> Iterator[Mapping[str, Any]]:
        """Each story and question as text."""
        words = words_in(samples.assets)
        for story, question in zip(samples.inputs["story"], samples.inputs["question"], strict=True):
            yield {"story": story_of(story, words), "question": f"{text_of(question, words)}?"}

    def figures(self, model: Any, data: Data, config: AnswersConfig) -> Iterator[Figure]:
        """For a few test stories, the sentences that were attended to; of a model that attends."""
        if ATTENTION in [layer.name for layer in model.layers]:
            yield Figure("attention", "How much each sentence mattered to the answer", attention_page(model, data.test))

    def show(self, sample: Mapping[str, Any]) -> str:
        """The numbers of the words, a sentence a line, the question last."""
        lines = [*sample["story"], sample["question"]]
        return "\n".join(" ".join(str(number) for number in line if number) for line in lines if line.any())


PLUGIN = QuestionAnswering()
