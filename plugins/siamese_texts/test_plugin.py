from collections import Counter
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, Samples
from plugins.newswires import load as load_newswires
from plugins.siamese_texts.data import Drawing, best_threshold, draw_pairs, load, shared_words
from plugins.siamese_texts.model import PairsConfig, build
from plugins.siamese_texts.plugin import EXAMPLE, PLUGIN

WORDS = ["the", "oil", "price", "opec", "wheat", "said", "mln", "dlrs"]
FEW = PairsConfig(top_words=10, length=6)  # numbers 4 to 9: the first six words


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(1)
    return build(FEW, WORDS)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


def compare(endpoints: Mapping[str, Endpoint], *pairs: tuple[str, str]) -> Array:
    left, right = (np.array([text.encode() for text in side], object) for side in zip(*pairs, strict=True))
    return endpoints["classify"](left=left, right=right)["scores"]


def by_numbers(endpoints: Mapping[str, Endpoint], numbers: Mapping[str, Array]) -> Array:
    return endpoints["serving_default"](left_numbers=numbers["left"], right_numbers=numbers["right"])["scores"]


def wires(topics: list[int]) -> Samples:
    """Newswires of these topics; the first word of each tells which one it is."""
    numbers = np.arange(len(topics), dtype=np.uint16)[:, np.newaxis] + 4
    words = np.frombuffer("\n".join(WORDS).encode(), np.uint8)
    return Samples(np.pad(numbers, ((0, 0), (1, 5)), constant_values=1), np.array(topics), assets={"words": words})


def test_the_score_does_not_depend_on_which_text_comes_first(endpoints: Mapping[str, Endpoint]) -> None:
    one, other, same = compare(endpoints, ("Oil price", "wheat, said"), ("wheat, said", "Oil price"), ("oil", "oil"))
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert not np.allclose(one, same, atol=1e-4)
    np.testing.assert_allclose(one.sum(), 1, rtol=1e-6)


def test_texts_and_their_numbers_get_the_same_scores(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    from_text = compare(endpoints, ("Oil price", "wheat, said mln"), ("the the", "OPEC"))
    numbers = {
        "left": np.array([[1, 5, 6, 0, 0, 0], [1, 4, 4, 0, 0, 0]], np.int32),
        "right": np.array([[1, 8, 9, 2, 0, 0], [1, 7, 0, 0, 0, 0]], np.int32),
    }
    np.testing.assert_allclose(from_text, by_numbers(endpoints, numbers), atol=1e-6)
    np.testing.assert_allclose(from_text[:, 1:], model.predict(numbers, verbose=0), atol=1e-6)
    rare = {**numbers, "right": np.where(numbers["right"] == 2, 10, numbers["right"])}
    np.testing.assert_allclose(from_text, by_numbers(endpoints, rare), atol=1e-6)


def test_a_word_moved_the_answer_as_far_as_it_falls_without_it(endpoints: Mapping[str, Endpoint]) -> None:
    texts = {"left": np.array([b"oil price"], object), "right": np.array([b"OPEC zyx said"], object)}
    for target in (0, 1):
        answer = endpoints["explain"](**texts, target=np.array([target], np.int32))
        told = [word.decode() for word in answer["words"][0]]
        assert told == ["", "oil", "price", "", "", "", "", "opec", "?", "said", "", ""]
        whole, without_price, without_said = compare(
            endpoints, ("oil price", "opec zyx said"), ("oil zyx", "opec zyx said"), ("oil price", "opec zyx zyx")
        )[:, target]
        moved = answer["attributions"][0]
        np.testing.assert_allclose(moved[[2, 8, 9]], [whole - without_price, 0, whole - without_said], atol=1e-6)
        assert abs(moved[2]) > 1e-6
        assert not moved[[3, 4, 5, 10, 11]].any()


def test_each_vector_has_its_word(model: Any) -> None:
    assert PLUGIN.row_words(model) == ["(padding)", "(start)", "(unknown)", "(unused)", *WORDS[:6]]
    assert any(getattr(layer, "input_dim", 0) == FEW.top_words for layer in model._flatten_layers())


def test_an_empty_text_is_compared_too(endpoints: Mapping[str, Endpoint]) -> None:
    scores = compare(endpoints, ("", "oil price"), ("...", "oil price"), ("", ""))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)


def test_of_a_text_of_10_megabytes_the_first_words_are_read(endpoints: Mapping[str, Endpoint]) -> None:
    long = "the oil price opec wheat " + "said " * 2_100_000
    assert len(long) > 10_000_000
    read, beginning = compare(endpoints, (long, "oil"), ("the oil price opec wheat", "oil"))
    np.testing.assert_allclose(read, beginning, atol=1e-6)


def test_pairs_are_of_one_topic_or_of_two_as_they_say() -> None:
    topics = [0, 0, 0, 1, 1, 2]
    pairs = draw_pairs(wires(topics), Drawing(pairs=400, seed=1, length=3))
    left, right = (pairs.inputs[side][:, 1] - 4 for side in ("left", "right"))
    same = np.array(topics)[left] == np.array(topics)[right]
    np.testing.assert_array_equal(same, pairs.targets)
    assert 160 < same.sum() < 240
    assert not np.any(left == right)
    assert 5 not in left  # its topic has no other
    assert pairs.inputs["left"].shape == (400, 3)


def test_the_same_seed_draws_the_same_pairs() -> None:
    one, same, other = (draw_pairs(wires([0, 0, 1, 1]), Drawing(50, seed, 3)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.inputs["right"], same.inputs["right"])
    assert not np.array_equal(one.inputs["right"], other.inputs["right"])


def test_shared_words_are_a_share_of_all_words() -> None:
    pairs = Samples({"left": np.array([[1, 5, 6], [1, 4, 4]]), "right": np.array([[1, 6, 7], [1, 4, 4]])}, np.zeros(2))
    assert shared_words(pairs).tolist() == [0.5, 1.0]
    assert best_threshold(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1])) == pytest.approx(0.2, abs=0.11)


def test_requests_are_the_words_behind_the_numbers() -> None:
    pairs = wires([0, 0, 0])
    two = Samples({"left": pairs.inputs[:2], "right": pairs.inputs[1:]}, np.zeros(2), assets=pairs.assets)
    assert list(PLUGIN.requests(two)) == [{"left": "the", "right": "oil"}, {"left": "oil", "right": "price"}]


@pytest.fixture(scope="module")
def datasets(mirror: Folder) -> Folder:
    return mirror


@pytest.fixture(scope="module")
def real(datasets: Folder) -> Data:
    return load(datasets, length=80)


def test_training_validation_and_test_pairs_share_no_newswire(real: Data, datasets: Folder) -> None:
    wires = load_newswires(datasets)
    sent = Counter(row.tobytes() for part in (wires.train, wires.test) for row in part.inputs[:, :80])
    once = {text for text, times in sent.items() if times == 1}  # the agency sent some newswires twice
    parts = (real.train.take(np.arange(20_000)), real.train.take(np.arange(20_000, 22_000)), real.test)
    seen = [{row.tobytes() for side in part.inputs.values() for row in side} & once for part in parts]
    assert all(len(texts) > 500 for texts in seen)
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_reading_nothing_is_right_half_of_the_time(real: Data) -> None:
    baseline = PLUGIN.baseline(real)
    assert baseline["accuracy"] == pytest.approx(0.5, abs=0.03)
    assert baseline["shared_words_accuracy"] > baseline["accuracy"]


def test_the_example_is_answered(endpoints: Mapping[str, Endpoint]) -> None:
    assert compare(endpoints, (EXAMPLE["left"], EXAMPLE["right"])).shape == (1, 2)
