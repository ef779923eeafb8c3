"""The Reuters newswires of 1987 that more than one plugin learns from: 8,982 to learn from, 2,246 to be judged on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, Data, Dataset, Datasets, Samples, Source, Url
from plugins.keras_lists import read_lists
from plugins.texts import FIRST, PADDING, START

# In the order of the data's topic numbers, as keras.datasets.reuters.get_label_names tells them.
TOPICS = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply", "coffee", "sugar",
    "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi", "money-fx", "interest", "gnp",
    "meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal", "livestock", "retail", "ipi", "iron-steel",
    "rubber", "heat", "jobs", "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip
TEST_SHARE = 0.2
KERAS_SEED = 113
_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def read_words(file: Path) -> Mapping[str, Array]:
    """Keras's index of the 30,979 words: the words in the order of their rank, a line each."""
    ranks = json.loads(file.read_text())
    return {"words": np.frombuffer("\n".join(sorted(ranks, key=ranks.__getitem__)).encode(), np.uint8)}


# `x`: each newswire's words as ranks, the most frequent word's is 1; `y`: its topic's number.
REUTERS = Dataset(
    file="reuters.npz",
    sha256="2ae2077450024c405984fe19a0a310fa9010cc92b6bdb867dad59edf82ce40c5",
    read=read_lists,
    sources=(Source(Url(f"{_KERAS}reuters.npz"), read_lists),),
)
WORDS = Dataset(
    file="reuters_word_index.json",
    sha256="0012aa54a47dddfb9ecbf065b45e2c6a873d9cdd3e4adb25ac8c5ad964691d9f",
    read=read_words,
    sources=(Source(Url(f"{_KERAS}reuters_word_index.json"), read_words),),
)


def load(datasets: Datasets) -> Data:
    """Numbers of words uint16 [N, 2377], padded behind, with topics uint8 [N]: the split of keras.datasets.reuters.

    The assets have all words, the most frequent first.
    """
    arrays, assets = datasets.fetch(REUTERS), datasets.fetch(WORDS)
    lengths = arrays["x_lengths"].astype(np.int64)
    numbers = np.full((len(lengths), lengths.max() + 1), PADDING, np.uint16)
    numbers[:, 0] = START
    numbers[:, 1:][np.arange(lengths.max()) < lengths[:, np.newaxis]] = arrays["x"] + FIRST - 1
    order = np.arange(len(lengths))
    np.random.RandomState(KERAS_SEED).shuffle(order)
    cut = int(len(order) * (1 - TEST_SHARE))
    train, test = (Samples(numbers[rows], arrays["y"][rows], assets=assets) for rows in (order[:cut], order[cut:]))
    return Data(train=train, test=test)


def words_in(assets: Mapping[str, Array]) -> list[str]:
    """All words, the most frequent first."""
    return assets["words"].tobytes().decode().split("\n")


def text_of(numbers: Array, words: list[str]) -> str:
    """The words behind the numbers of one newswire; padding and start mark are left out."""
    return " ".join(words[number - FIRST] for number in numbers if number >= FIRST)
