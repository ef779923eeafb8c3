import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Data, Dataset, Samples, Unavailable
from plugins.social_posts.data import BY_DECILE, BY_GENDER, POSTS, TEST, draw_posts, load, read_csv
from plugins.social_posts.model import LENGTH, PostsConfig, build
from plugins.social_posts.plugin import PLUGIN


class Nowhere:
    """Datasets of a machine without a mirror."""

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        raise Unavailable(f"no {dataset.file}")


@pytest.fixture(scope="module")
def drawn() -> Data:
    return load(Nowhere())


@pytest.fixture(scope="module")
def model(drawn: Data) -> Any:
    keras.utils.set_random_seed(1)
    return build(PostsConfig(), drawn.train.take(np.arange(200)).inputs)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


@pytest.fixture(scope="module")
def endpoint(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    return endpoints["classify"]


def as_bytes(*texts: str) -> Array:
    return np.array([text.encode() for text in texts], object)


def test_without_a_mirror_the_same_posts_are_drawn_every_time(drawn: Data) -> None:
    again = load(Nowhere())
    assert (len(drawn.train), len(drawn.test)) == (POSTS - TEST, TEST)
    assert again.test.inputs.tolist() == drawn.test.inputs.tolist()
    assert not set(drawn.train.inputs.tolist()) & set(drawn.test.inputs.tolist())


def test_a_drawn_post_speaks_of_its_author() -> None:
    posts = draw_posts(100, seed=1)
    for text, age, decile, gender in zip(*posts.values(), strict=True):
        words = text.decode().split()
        band = next(band for band in BY_DECILE if band[0] <= decile <= band[1])
        assert sum(word in BY_GENDER[gender] for word in words) == 2
        assert sum(word in BY_DECILE[band] for word in words) >= 4
        assert 22 <= len(words) <= 49
        assert ("exam" not in words or age <= 21) and ("pension" not in words or age >= 52)


def test_the_mirrors_file_is_read_column_by_column(tmp_path: Path) -> None:
    file = tmp_path / "posts.csv.gz"
    file.write_bytes(gzip.compress(b'text,age,income_decile,gender\n"so, my exam",15,3,1\nmy tie,40,9,0\n'))
    arrays = read_csv(file)
    assert arrays["text"].tolist() == [b"so, my exam", b"my tie"]
    assert [arrays[name].tolist() for name in ("age", "income_decile", "gender")] == [[15, 40], [3, 9], [1, 0]]


def test_the_losses_are_weighted_as_in_the_book(model: Any, drawn: Data) -> None:
    few = drawn.test.take(np.arange(64))
    figures = PLUGIN.evaluate(model, few, PostsConfig())
    whole = 0.25 * figures["age_loss"] + figures["income_loss"] + 10 * figures["gender_loss"]
    assert figures["loss"] == pytest.approx(whole, rel=1e-4)
    decades = (model.predict(few.in_order(64), verbose=0)["age"] - few.targets["age"]) / 10
    assert figures["age_loss"] == pytest.approx(float(np.mean(decades**2)), rel=1e-4)
    assert {"income_accuracy", "gender_accuracy", "age_mae"} <= figures.keys()


def test_each_row_of_the_embedding_has_its_word(model: Any, drawn: Data) -> None:
    (vectors,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Embedding))
    words = PLUGIN.row_words(model)
    assert len(words) == vectors.input_dim
    reader = model.get_layer(index=1)
    (number,) = set(reader(np.array(["pension"])).numpy()[0]) - {0}
    assert words[number] == "pension"


def test_the_baseline_is_the_commonest_answer_of_each_head() -> None:
    def targets(ages: list[float], incomes: list[int], genders: list[float]) -> Samples:
        columns = {"age": np.array(ages)[:, None], "income": np.array(incomes), "gender": np.array(genders)[:, None]}
        return Samples(np.zeros(len(ages)), columns)

    data = Data(train=targets([20, 30, 70], [4, 4, 1], [1, 1, 0]), test=targets([20, 50], [4, 4], [1, 0]))
    assert PLUGIN.baseline(data) == {"income_accuracy": 1.0, "gender_accuracy": 0.5, "age_mae": 15.0}


def test_the_served_answers_are_the_models_with_gender_in_two_columns(
    endpoint: Endpoint, model: Any, drawn: Data
) -> None:
    few = drawn.test.take(np.arange(5))
    answer, in_memory = endpoint(text=few.inputs.astype(object)), model.predict(few.in_order(5), verbose=0)
    np.testing.assert_allclose(answer["age"], in_memory["age"], rtol=1e-4)
    np.testing.assert_allclose(answer["income"], in_memory["income"], rtol=1e-3)
    np.testing.assert_allclose(answer["gender"][:, 1:], in_memory["gender"], rtol=1e-4)
    np.testing.assert_allclose(answer["gender"].sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("head", "target"), [("age", 0), ("income", 7), ("gender", 1)])
def test_a_word_moved_an_answer_as_far_as_it_falls_without_it(
    endpoints: Mapping[str, Endpoint], head: str, target: int
) -> None:
    asked = {"text": as_bytes("My exam, zyx!"), "target": np.array([target], np.int32)}
    explained = endpoints[f"explain_{head}"](**asked)
    assert [word.decode() for word in explained["words"][0]] == ["my", "exam", "?", *[""] * (LENGTH - 3)]
    whole, without = endpoints["classify"](text=as_bytes("my exam zyx", "my zyx zyx"))[head][:, target]
    np.testing.assert_allclose(explained["attributions"][0, 1:3], [whole - without, 0], atol=1e-6)
    assert abs(whole - without) > 2e-6
    assert not explained["attributions"][0, 3:].any()


def test_case_and_punctuation_do_not_matter_and_words_beyond_the_last_are_not_read(endpoint: Endpoint) -> None:
    long = "pension " * LENGTH
    texts = as_bytes("My pension, again!", "my pension again", long, long + "exam prom school " * 1000)
    ages = endpoint(text=texts)["age"]
    np.testing.assert_allclose(ages[[0, 2]], ages[[1, 3]], rtol=1e-4)
    assert abs(ages[0] - ages[2]) > 1e-3


@pytest.mark.parametrize("text", ["", "   ", "?!", "zyx", "ü 你好", "a"])
def test_a_text_that_says_nothing_gets_an_answer_too(endpoint: Endpoint, text: str) -> None:
    answer = endpoint(text=as_bytes(text))
    assert all(np.isfinite(value).all() for value in answer.values())


def test_a_post_is_shown_as_it_is_written(drawn: Data) -> None:
    assert PLUGIN.show(drawn.test.inputs[0]) == next(PLUGIN.requests(drawn.test))["text"]
