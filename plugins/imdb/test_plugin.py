import csv
import lzma
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, Samples
from plugins.imdb.data import load, texts_of, words_of
from plugins.imdb.model import ReviewsConfig, build
from plugins.imdb.plugin import PLUGIN
from plugins.texts import multi_hot
from plugins.texts import words_of as split_words

WORDS = ["the", "film", "was", "good", "bad", "not", "don't"]
SMALL = ReviewsConfig(top_words=11, length=12)
PARAMETERS = {
    "bag_of_words": 160_305,
    "smaller": 40_029,
    "larger": 5_383_681,
    "l1": 160_305,
    "l2": 160_305,
    "dropout": 160_305,
    "embedding_20": 80_161,
    "glove_200": 1_320_065,
    "learned_200": 1_320_065,
    "simple_rnn": 322_113,
    "lstm": 328_353,
    "lstm_reversed": 1_300_641,
    "bidirectional_lstm": 336_705,
    "conv1d": 1_315_937,
}


def config_of(variant: str) -> ReviewsConfig:
    return ReviewsConfig(**PLUGIN.variants[variant].settings)


def small(variant: str, **settings: Any) -> Any:
    """A network of a few words with large random weights: far from undecided, so that there is something to explain."""
    keras.utils.set_random_seed(3)
    model = build(SMALL.model_copy(update=settings), variant, WORDS, np.ones((7, 100)), 100)
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, 0.7, weights.shape) for weights in model.get_weights()])
    return model


@pytest.fixture(scope="module", params=["smaller", "lstm_reversed"])
def served(request: pytest.FixtureRequest, serve: Serve) -> tuple[Any, Mapping[str, Endpoint]]:
    model = small(request.param, from_start=request.param == "lstm_reversed")
    return model, serve(PLUGIN, model)


def texts(*rows: str) -> Array:
    return np.array([row.encode() for row in rows], object)


@pytest.mark.parametrize(("variant", "parameters"), PARAMETERS.items())
def test_the_networks_are_the_books(variant: str, parameters: int) -> None:
    assert build(config_of(variant), variant, WORDS, np.ones((7, 100)), 100).count_params() == parameters


def test_gloves_vectors_stay_as_they_are_and_unknown_words_have_none() -> None:
    glove = np.arange(700).reshape(7, 100)
    model = build(SMALL.model_copy(update={"embedding": "glove"}), "glove_all", WORDS, glove, 100)
    (table,) = model.get_layer("vectors").get_weights()
    np.testing.assert_array_equal(table[:4], 0)
    np.testing.assert_array_equal(table[4:], glove)
    assert "vectors" not in {weights.path.split("/")[-2] for weights in model.trainable_variables}


def test_each_vector_has_its_word() -> None:
    model = small("lstm_reversed")
    assert PLUGIN.row_words(model) == ["(padding)", "(start)", "(unknown)", "(unused)", *WORDS]
    assert model.get_layer("vectors").input_dim == len(PLUGIN.row_words(model))


def test_the_first_or_the_last_words_are_read() -> None:
    text = tf.constant([" ".join(["the"] * 20 + ["film"])])
    last, first = small("lstm"), small("lstm", from_start=True)
    assert last.reader(text).numpy().tolist() == [[4] * 11 + [5]]
    assert first.reader(text).numpy().tolist() == [[1] + [4] * 11]


def test_raw_text_and_its_numbers_get_the_same_scores(served: tuple[Any, Mapping[str, Endpoint]]) -> None:
    model, endpoints = served
    rows = texts("The film was <br /> GOOD!", "", "not bad", "zyzzyva", "the film " * 30)
    scores = endpoints["classify"](text=rows)["scores"]
    numbers = model.reader(tf.constant(rows)).numpy()
    np.testing.assert_array_equal(endpoints["serving_default"](numbers=numbers)["scores"], scores)
    np.testing.assert_allclose(scores[:, 1:], model.predict(numbers, verbose=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)


def test_a_text_without_words_is_judged_by_its_start_mark(served: tuple[Any, Mapping[str, Endpoint]]) -> None:
    _, endpoints = served
    empty = endpoints["classify"](text=texts("", " \t", "!?...", "film"))["scores"]
    np.testing.assert_array_equal(empty[:3], empty[[0, 0, 0]])
    assert abs(empty[3, 1] - empty[0, 1]) > 1e-3


def test_of_ten_megabytes_one_end_is_read(served: tuple[Any, Mapping[str, Endpoint]]) -> None:
    model, endpoints = served
    end = "not good film " * 20
    huge = "bad " * 2_500_000
    whole = huge + end if not model.reader.from_start else end + huge
    scores = endpoints["classify"](text=texts(whole, end))["scores"]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)
    words = endpoints["explain"](text=texts(whole))["words"]
    assert words.shape[1] <= model.reader.length


def test_an_explanation_names_each_word_that_was_read(served: tuple[Any, Mapping[str, Endpoint]]) -> None:
    model, endpoints = served
    answer = endpoints["explain"](text=texts("The FILM, zyzzyva!", "", " ".join(f"w{n}" for n in range(40))))
    first, last = range(11), range(28, 40)
    read = [f"w{n}" for n in (first if model.reader.from_start else last)]
    assert [word.decode() for word in answer["words"][0] if word] == ["the", "film", "zyzzyva"]
    assert [word.decode() for word in answer["words"][2] if word] == read
    assert answer["words"].shape == answer["attributions"].shape
    np.testing.assert_array_equal(answer["attributions"][answer["words"] == b""], 0)


def test_what_the_words_moved_adds_up_to_what_the_text_moved(served: tuple[Any, Mapping[str, Endpoint]]) -> None:
    model, endpoints = served
    rows = texts("the film was good good good", "not bad", "don't", "")
    moved = endpoints["explain"](text=rows)["attributions"].sum(axis=1)
    numbers = model.reader(tf.constant(rows)).numpy()
    blank = np.where(numbers >= 2, 0, numbers)
    difference = (model.predict(numbers, verbose=0) - model.predict(blank, verbose=0))[:, 0]
    assert np.abs(difference).max() > 0.05
    np.testing.assert_allclose(moved, difference, atol=0.02)


def test_words_that_occur_twice_share_what_their_mark_moved(served: tuple[Any, Mapping[str, Endpoint]]) -> None:
    model, endpoints = served
    if model.name == "smaller":
        (moved,) = endpoints["explain"](text=texts("good film good"))["attributions"]
        (once,) = endpoints["explain"](text=texts("good film"))["attributions"]
        np.testing.assert_allclose(moved, [once[0] / 2, once[1], once[0] / 2], rtol=1e-5)


# --- the real reviews ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def datasets(mirror: Folder) -> Folder:
    return mirror


@pytest.fixture(scope="module")
def real(datasets: Folder) -> Data:
    return load(ReviewsConfig(), datasets)


def reader_of(config: ReviewsConfig, data: Data) -> Any:
    return build(config, "smaller", words_of(data.train.assets), None, 100).reader


def test_half_of_the_reviews_are_positive(real: Data) -> None:
    for samples in (real.train, real.test):
        assert np.bincount(samples.targets).tolist() == [12_500, 12_500]
    assert PLUGIN.baseline(real) == {"accuracy": 0.5}


@pytest.mark.parametrize(
    "config", [ReviewsConfig(), ReviewsConfig(length=500), ReviewsConfig(length=100, from_start=True)], ids=str
)
def test_a_request_has_the_numbers_that_are_learned_from(config: ReviewsConfig, datasets: Folder) -> None:
    data = load(config, datasets)
    reader = reader_of(config, data)
    for samples in (data.train, data.test):
        some = samples.take(np.arange(0, 25_000, 120))
        assert some.read is not None
        np.testing.assert_array_equal(reader(tf.constant(list(texts_of(some)))), some.read(some.inputs))


def test_a_raw_review_has_the_numbers_that_keras_published(real: Data, datasets: Folder) -> None:
    ranks = {word.encode(): rank for rank, word in enumerate(words_of(real.train.assets), 1)}
    published = {review: row for row, review in enumerate(reviews_of(real.train))}
    reader, rows, raw = reader_of(ReviewsConfig(), real), [], []
    for text in islice(raw_reviews(datasets.folder, "train"), 0, None, 20):
        (words,) = split_words(tf.constant([text])).to_list()
        rows.append(published[np.array([ranks[word] for word in words], np.uint32).tobytes()])
        raw.append(text)
    assert any("<br />" in text for text in raw) and any("n't" in text for text in raw)
    assert real.train.read is not None
    np.testing.assert_array_equal(reader(tf.constant(raw)), real.train.read(np.array(rows, np.int32)))


def test_words_that_no_training_review_has_are_read_as_unknown(real: Data, datasets: Folder) -> None:
    ranks = {word.encode(): rank for rank, word in enumerate(words_of(real.test.assets), 1)}
    published = set(reviews_of(real.test))
    raw = list(islice(raw_reviews(datasets.folder, "test"), 0, None, 50))
    known = [[word for word in words if word in ranks] for words in split_words(tf.constant(raw)).to_list()]
    assert all(np.array([ranks[word] for word in words], np.uint32).tobytes() in published for words in known)
    marks = multi_hot(reader_of(ReviewsConfig(), real)(tf.constant(raw)), 10_000).numpy()
    same = multi_hot(reader_of(ReviewsConfig(), real)(tf.constant([b" ".join(words) for words in known])), 10_000)
    np.testing.assert_array_equal(marks[:, 3:], same[:, 3:])


def raw_reviews(folder: Path, split: str) -> Iterator[str]:
    with lzma.open(folder / "imdb_reviews_5k_5k.csv.xz", "rt", encoding="utf-8", newline="") as file:
        yield from (row["text"] for row in csv.DictReader(file) if row["split"] == split)


def reviews_of(samples: Samples) -> Iterator[bytes]:
    ranks, starts = samples.assets["ranks"], samples.assets["starts"]
    return (ranks[begin:end].tobytes() for begin, end in pairwise(starts))
