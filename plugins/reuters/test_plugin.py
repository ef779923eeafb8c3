from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, Samples
from plugins.newswires import TOPICS, load, words_in
from plugins.reuters.model import NewswiresConfig, build
from plugins.reuters.plugin import EXAMPLE, PLUGIN
from plugins.texts import numbers_of

WORDS = ["the", "oil", "price", "opec", "wheat", "said", "mln", "dlrs"]
FEW = NewswiresConfig(top_words=10)  # numbers 4 to 9: the first six words


def assets() -> Mapping[str, Array]:
    return {"words": np.frombuffer("\n".join(WORDS).encode(), np.uint8)}


def texts(*lines: str) -> Array:
    return np.array([line.encode() for line in lines], object)


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(1)
    return build(FEW, "dense", WORDS)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


@pytest.mark.parametrize(("variant", "parameters"), [("dense", 647_214), ("one_hot", 647_214), ("bottleneck", 640_554)])
def test_the_networks_are_the_books(variant: str, parameters: int) -> None:
    assert build(NewswiresConfig(), variant, WORDS).count_params() == parameters


def test_one_hot_rows_and_topic_numbers_teach_the_same_model() -> None:
    random = np.random.default_rng(0)
    numbers, topics = random.integers(0, 10, (400, 12)), random.integers(0, len(TOPICS), 400)
    taught = []
    for variant in ("dense", "one_hot"):
        keras.utils.set_random_seed(3)
        model = build(FEW, variant, WORDS)
        before = model.get_weights()
        history = model.fit(numbers, topics, epochs=4, batch_size=50, shuffle=False, verbose=0).history
        taught.append((model.get_weights(), history))
        assert not np.allclose(before[-1], model.get_weights()[-1], atol=1e-3)
    for one, other in zip(*(weights for weights, _ in taught), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    for name, values in taught[0][1].items():
        np.testing.assert_allclose(values, taught[1][1][name], rtol=1e-4)


def test_what_the_words_moved_adds_up_to_what_the_text_moved(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    for target in (-1, 3):
        asked = {"text": np.array([b"oil price, oil zyzzyva"], object), "target": np.array([target], np.int32)}
        answer = endpoints["explain"](**asked)
        assert [word.decode() for word in answer["words"][0]] == ["oil", "price", "oil", "zyzzyva"]
        numbers = numbers_of(model.words, asked["text"]).numpy()
        scores, blank = (model.predict(row, verbose=0)[0] for row in (numbers, np.where(numbers >= 2, 0, numbers)))
        of = scores.argmax() if target < 0 else target
        np.testing.assert_allclose(answer["attributions"].sum(), scores[of] - blank[of], atol=1e-3)


def test_text_and_its_numbers_get_the_same_scores(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    numbers = np.array([[1, 5, 6, 0], [1, 8, 9, 2]], np.int32)
    from_text = endpoints["classify"](text=texts("OIL PRICE!", "wheat, said mln"))["scores"]
    from_numbers = endpoints["serving_default"](numbers=numbers)["scores"]
    np.testing.assert_allclose(from_text, from_numbers, rtol=1e-5)
    np.testing.assert_allclose(from_numbers, model.predict(numbers, verbose=0), atol=1e-6)
    np.testing.assert_allclose(from_text.sum(axis=1), 1, rtol=1e-5)


def test_rare_words_count_as_unknown_ones(endpoints: Mapping[str, Endpoint]) -> None:
    known = endpoints["serving_default"](numbers=np.array([[1, 4, 10], [1, 4, 2]], np.int32))["scores"]
    said = endpoints["classify"](text=texts("the mln", "the zyx"))["scores"]
    np.testing.assert_allclose(known[0], known[1], rtol=1e-5)
    np.testing.assert_allclose(said, known, rtol=1e-5)


def test_an_empty_text_is_a_newswire_without_words(endpoints: Mapping[str, Endpoint]) -> None:
    nothing = endpoints["classify"](text=texts("", " ...\n"))["scores"]
    start = endpoints["serving_default"](numbers=np.array([[1]], np.int32))["scores"]
    np.testing.assert_allclose(nothing, np.repeat(start, 2, axis=0), rtol=1e-5)


def test_of_a_text_of_10_megabytes_the_beginning_is_read(endpoints: Mapping[str, Endpoint]) -> None:
    long = "oil price " * 6000 + "opec " * 2_000_000
    assert len(long) > 10_000_000
    read, beginning = endpoints["classify"](text=texts(long + "wheat", long[: 2**16]))["scores"]
    np.testing.assert_allclose(read, beginning, rtol=1e-5)


def test_requests_are_the_words_behind_the_numbers() -> None:
    samples = Samples(np.array([[1, 5, 6, 0, 0], [1, 11, 10, 4, 9]], np.uint16), np.zeros(2), assets=assets())
    assert list(PLUGIN.requests(samples)) == [{"text": "oil price"}, {"text": "dlrs mln the said"}]


def test_the_shuffled_baseline_is_the_mean_over_all_orders() -> None:
    samples = Samples(np.zeros((6, 1), np.uint16), np.array([0, 0, 0, 1, 1, 2], np.uint8))
    random = np.random.default_rng(0)
    drawn = [np.mean(random.permutation(samples.targets) == samples.targets) for _ in range(20_000)]
    baseline = PLUGIN.baseline(Data(train=samples, test=samples))
    assert baseline["shuffled_accuracy"] == pytest.approx(np.mean(drawn), abs=0.01)
    assert baseline["accuracy"] == 0.5


@pytest.fixture(scope="module")
def real(mirror: Folder) -> Data:
    return load(mirror)


def test_the_split_is_that_of_keras(real: Data) -> None:
    assert (len(real.train), len(real.test)) == (8982, 2246)
    # The first newswire of the training part, as keras.datasets.reuters.load_data() gives it.
    assert real.train.inputs[0, :8].tolist() == [1, 27595, 28842, 8, 43, 10, 447, 5]
    assert real.train.targets[:5].tolist() == [3, 4, 3, 4, 4]
    assert real.test.targets[:5].tolist() == [3, 10, 1, 4, 4]


def test_topics_are_named_as_keras_names_them() -> None:
    assert keras.datasets.reuters.get_label_names() == TOPICS


def test_the_books_shuffle_is_near_ours(real: Data) -> None:
    assert PLUGIN.baseline(real)["shuffled_accuracy"] == pytest.approx(0.187, abs=0.01)


def test_every_word_survives_being_sent_as_text(real: Data, serve: Serve) -> None:
    words = words_in(real.train.assets)
    model = build(NewswiresConfig(), "dense", words)
    rows = real.test.take(np.arange(64))
    sent = texts(*(request["text"] for request in PLUGIN.requests(rows)))
    endpoint = serve(PLUGIN, model)["classify"]
    np.testing.assert_allclose(
        endpoint(text=sent)["scores"], model.predict(rows.inputs.astype(np.int32), verbose=0), atol=1e-5
    )
    assert len(words) == 30_979


def test_the_example_is_answered(endpoints: Mapping[str, Endpoint]) -> None:
    assert endpoints["classify"](text=texts(EXAMPLE))["scores"].shape == (1, 46)
