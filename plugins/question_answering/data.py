"""bAbI, task 1: short stories of people who walk about, and questions where they are (Weston et al. 2015)."""

from __future__ import annotations

import gzip
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugins.contract import Array, Data, Dataset, Datasets, Samples, Source, Url

# The answers of the training split, in alphabetical order.
ANSWERS = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
SENTENCES, WORDS = 10, 8  # a story has at most 10 sentences in bAbI, a sentence at most 6 words

_ARCHIVE = Url("https://s3.amazonaws.com/text-datasets/babi_tasks_1-20_v1-2.tar.gz")
_FOLDER = "tasks_1-20_v1-2/en-10k"  # with 10,000 questions to learn from
_WORD = re.compile(r"[a-z]+")


def read_gzip(file: Path) -> Mapping[str, Array]:
    """`text` uint8 [bytes]."""
    return {"text": np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8)}


def _task_1(split: str, sha256: str) -> Dataset:
    name = f"qa1_single-supporting-fact_{split}.txt"

    def read_archive(file: Path) -> Mapping[str, Array]:
        with tarfile.open(file) as archive:
            content = archive.extractfile(f"{_FOLDER}/{name}")
            assert content is not None
            return {"text": np.frombuffer(content.read(), np.uint8)}

    return Dataset(file=f"qa_babi/{name}.gz", sha256=sha256, read=read_gzip, sources=(Source(_ARCHIVE, read_archive),))


TRAIN = _task_1("train", "519c5c9e044d0cd1a7773013d6f670a12debc54e476ec5e8ca2bdf78807ce359")
TEST = _task_1("test", "701549157e52a45c4da3376cda1fe25fc9e4ad9a04453c3fe2353964301645b9")


@dataclass(frozen=True)
class Question:
    """A question, the story told before it, and the answer."""

    story: Sequence[str]
    question: str
    answer: str


def questions_in(text: str) -> list[Question]:
    """All questions of a bAbI file. A line numbered 1 begins a story; what follows a question's tab is its answer."""
    questions: list[Question] = []
    story: list[str] = []
    for line in text.splitlines():
        number, told = line.split(" ", 1)
        if number == "1":
            story = []
        if "\t" in told:
            question, answer, _ = told.split("\t")
            questions.append(Question(tuple(story), question.strip(), answer))
        else:
            story.append(told)
    return questions


def load(datasets: Datasets) -> Data:
    """`story` uint8 [N, 10, 8] and `question` uint8 [N, 8], numbers of words, with the answers' numbers uint8 [N].

    The words are those of the training split, in the assets: 1 is the first of them, 0 is padding or an unknown word.
    Stories are padded in front, so that what was told last is always in the last row; sentences behind.
    """
    train, test = (questions_in(datasets.fetch(split)["text"].tobytes().decode()) for split in (TRAIN, TEST))
    words = sorted({word for one in train for word in _words(" ".join((*one.story, one.question)))})
    return Data(train=_samples(train, words), test=_samples(test, words))


def words_in(assets: Mapping[str, Array]) -> list[str]:
    """The words a model knows, in the order of their numbers."""
    return assets["words"].tobytes().decode().split("\n")


def text_of(numbers: Array, words: Sequence[str]) -> str:
    """The words behind the numbers of one sentence."""
    return " ".join(words[number - 1] for number in numbers if number)


def story_of(numbers: Array, words: Sequence[str]) -> str:
    """The sentences behind the numbers [10, 8] of one story."""
    return " ".join(f"{text_of(sentence, words)}." for sentence in numbers if sentence.any())


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _samples(questions: Sequence[Question], words: Sequence[str]) -> Samples:
    numbers = {word: number for number, word in enumerate(words, 1)}
    story = np.zeros((len(questions), SENTENCES, WORDS), np.uint8)
    question = np.zeros((len(questions), WORDS), np.uint8)
    for row, one in enumerate(questions):
        for back, sentence in enumerate(reversed(one.story), 1):
            _fill(story[row, -back], sentence, numbers)
        _fill(question[row], one.question, numbers)
    answers = np.array([ANSWERS.index(one.answer) for one in questions], np.uint8)
    known = np.frombuffer("\n".join(words).encode(), np.uint8)
    return Samples({"story": story, "question": question}, answers, assets={"words": known})


def _fill(row: Array, text: str, numbers: Mapping[str, int]) -> None:
    words = _words(text)
    row[: len(words)] = [numbers.get(word, 0) for word in words]
