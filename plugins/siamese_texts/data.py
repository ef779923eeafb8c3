"""Pairs of newswires, half of them about the same topic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugins.contract import Array, Data, Datasets, Samples
from plugins.newswires import load as load_newswires

LABELS = ("different", "same")
VALIDATION_WIRES = 1000
TRAIN_PAIRS, VALIDATION_PAIRS, TEST_PAIRS = 20_000, 2000, 4000


@dataclass(frozen=True)
class Drawing:
    """How many pairs to draw, with what seed, and how many words of each newswire to keep."""

    pairs: int
    seed: int
    length: int


def load(datasets: Datasets, length: int) -> Data:
    """`left` and `right` uint16 [N, length], numbers of the first words, with 1 for the same topic.

    Pairs to train on, to validate on (the last 2,000 of `train`) and to be judged on are made of different newswires:
    a newswire known from another pair is no test.
    """
    wires = load_newswires(datasets)
    cut = len(wires.train) - VALIDATION_WIRES
    known, unseen = wires.train.take(np.arange(cut)), wires.train.take(np.arange(cut, len(wires.train)))
    train = draw_pairs(known, Drawing(TRAIN_PAIRS, 1, length))
    validation = draw_pairs(unseen, Drawing(VALIDATION_PAIRS, 2, length))
    return Data(train=_joined(train, validation), test=draw_pairs(wires.test, Drawing(TEST_PAIRS, 3, length)))


def draw_pairs(wires: Samples, drawing: Drawing) -> Samples:
    """For each pair a newswire, and by the toss of a coin another one of its topic, or one of another topic.

    A newswire whose topic has no other is not drawn first.
    """
    random = np.random.default_rng(drawing.seed)
    topics = wires.targets.astype(int)
    same = random.integers(0, 2, drawing.pairs).astype(np.uint8)
    left = random.choice(np.flatnonzero(np.bincount(topics)[topics] > 1), drawing.pairs)
    right = np.array([_partner(random, topics, row, alike) for row, alike in zip(left, same, strict=True)])
    numbers = wires.inputs[:, : drawing.length]
    return Samples({"left": numbers[left], "right": numbers[right]}, same, assets=wires.assets)


def _partner(random: np.random.Generator, topics: Array, row: int, alike: int) -> int:
    while True:  # ends: every topic drawn first has another newswire, and none has all of them
        other = int(random.integers(len(topics)))
        if other != row and (topics[other] == topics[row]) == bool(alike):
            return other


def _joined(first: Samples, second: Samples) -> Samples:
    columns = {name: np.concatenate([first.inputs[name], second.inputs[name]]) for name in first.inputs}
    return Samples(columns, np.concatenate([first.targets, second.targets]), assets=first.assets)


def shared_words(pairs: Samples) -> Array:
    """The words two newswires have in common, as a share of all that either has, float64 [N] (Jaccard)."""
    sets = zip(*(map(frozenset, pairs.inputs[side].tolist()) for side in ("left", "right")), strict=True)
    return np.array([len(left & right) / len(left | right) for left, right in sets])


def best_threshold(shares: Array, same: Array) -> float:
    """Of the shares' percentiles, the one from which on "same" is right most often."""
    candidates = np.percentile(shares, range(101))
    right = [np.mean((shares >= threshold) == same) for threshold in candidates]
    return float(candidates[np.argmax(right)])
