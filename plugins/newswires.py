"""The Reuters newswires of 1987 that more than one plugin learns from: 8,982 to learn from, 2,246 to be judged on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plugins.contract import Array, Data, Datasets, Samples
from plugins.keras_files import keras_file, read_lists, read_words
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


# `x`: each newswire's words as ranks, the most frequent word's is 1; `y`: its topic's number.
REUTERS = keras_file("reuters.npz", "2ae2077450024c405984fe19a0a310fa9010cc92b6bdb867dad59edf82ce40c5", read_lists)
WORDS = keras_file(
    "reuters_word_index.json", "0012aa54a47dddfb9ecbf065b45e2c6a873d9cdd3e4adb25ac8c5ad964691d9f", read_words
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
