import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Dataset, InvalidArgument, Unavailable
from plugins.nietzsche.cell import EXACT, STATE_UNITS, Cell, on_grid
from plugins.nietzsche.data import AUSTEN, NIETZSCHE, read_corpus, read_text, split, unigram_nats
from plugins.nietzsche.model import TextConfig
from plugins.nietzsche.plugin import PLUGIN
from plugins.nietzsche.sampling import gumbel, likely

LIKELIHOODS = ("logprobs", "top_tokens", "top_logprobs")
TEXT = "thus spoke the camel:\nwhat is heavy? so asks the load-bearing spirit, é and kneels.\n" * 40
SMALL = TextConfig(window=12, step=5, units=16)


def trained(variant: str) -> Any:
    """A model whose weights are large and random: far from uniform, so that sampling has something to get wrong."""
    keras.utils.set_random_seed(3)
    model = PLUGIN.build_model(SMALL, variant, split(TEXT, SMALL.window, SMALL.step).train)
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, 0.8, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module", params=["stateful", "windowed"])
def endpoints(request: pytest.FixtureRequest, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, trained(request.param))


def start(
    call: Endpoint,
    prompts: list[str],
    steps: Any,
    temperature: Any,
    seed: Any,
    top_k: Any = 0,
    top_p: Any = 1,
    logprobs: Any = False,
) -> Mapping[str, Array]:
    rows = len(prompts)
    return call(
        prompt=np.array([prompt.encode() for prompt in prompts], object),
        steps=np.broadcast_to(np.asarray(steps, np.int32), rows),
        temperature=np.broadcast_to(np.asarray(temperature, np.float32), rows),
        top_k=np.broadcast_to(np.asarray(top_k, np.int32), rows),
        top_p=np.broadcast_to(np.asarray(top_p, np.float32), rows),
        logprobs=np.broadcast_to(np.asarray(logprobs, bool), rows),
        seed=np.broadcast_to(np.asarray(seed, np.int64), rows),
    )


def states(answer: Mapping[str, Array], rows: Any = slice(None)) -> dict[str, Array]:
    return {name: value[rows] for name, value in answer.items() if name.startswith("state_")}


def rows_of_a_crowd() -> tuple[list[str], Sequence[Array]]:
    """64 prompts; of each the temperature, seed, top_k and top_p. Some rows draw from all characters, some do not."""
    random = np.random.default_rng(0)
    prompts = [TEXT[: random.integers(0, 30)] for _ in range(64)]
    knobs = random.choice([0, 0.2, 0.5, 1, 1.2, 2], 64), random.integers(-(2**63), 2**63, 64)
    return prompts, (*knobs, random.choice([0, 0, 3, 99], 64), random.choice([0.5, 0.9, 1, 1], 64))


def test_a_row_is_the_same_to_the_bit_alone_and_among_63_others(endpoints: Mapping[str, Endpoint]) -> None:
    prompts, knobs = rows_of_a_crowd()
    crowd = start(endpoints["start"], prompts, 60, *knobs)
    assert len(set(crowd["text"])) > 40
    for row in range(0, 64, 5):
        alone = start(endpoints["start"], prompts[row : row + 1], 60, *(knob[row] for knob in knobs))
        for name in ("text", "finished", *states(crowd)):
            np.testing.assert_array_equal(alone[name][0], crowd[name][row], err_msg=f"{name} of row {row}")


def test_any_chunking_gives_the_same_text_and_state(endpoints: Mapping[str, Endpoint]) -> None:
    prompts, knobs = rows_of_a_crowd()
    whole = start(endpoints["start"], prompts, 60, *knobs)
    random = np.random.default_rng(1)
    rows = random.permutation(64)[:7]
    written = np.zeros(7, np.int32)
    steps = random.integers(0, 9, 7)
    part = start(endpoints["start"], [prompts[row] for row in rows], steps, *(knob[rows] for knob in knobs))
    texts = part["text"]
    while (written := written + steps).min() < 60:
        steps = np.minimum(random.integers(0, 25, 7), 60 - written).astype(np.int32)
        part = endpoints["continue"](steps=steps, **states(part))
        texts = texts + part["text"]
    np.testing.assert_array_equal(texts, whole["text"][rows])
    for name, value in states(whole, rows).items():
        np.testing.assert_array_equal(part[name], value)


def test_temperature_zero_ignores_the_seed_and_others_do_not(endpoints: Mapping[str, Endpoint]) -> None:
    greedy = start(endpoints["start"], ["thus "] * 3, 40, [0, 0, -1], [1, 2, 3])["text"]
    daring = start(endpoints["start"], ["thus "] * 3, 40, 2, [1, 2, 2])["text"]
    assert len(set(greedy)) == 1
    assert daring[0] != daring[1] == daring[2]


def test_a_prompt_is_read_in_lower_case_with_unknown_characters_as_spaces(endpoints: Mapping[str, Endpoint]) -> None:
    prompts = ["THUS É", "thus é", "thus 漢\U0001f600", "thus   ", "", "\n"]
    texts = start(endpoints["start"], prompts, 30, 1, 5)["text"]
    assert texts[0] == texts[1]
    assert texts[2] == texts[3]
    assert texts[4] == texts[5]


def test_bytes_that_are_no_utf8_trouble_nobody(endpoints: Mapping[str, Endpoint]) -> None:
    steps, one, seed = np.full(2, 30, np.int32), np.ones(2, np.float32), np.array([5, 5])
    prompt = np.array([b"thus \xff\xfe", "thus é".encode()], object)
    all_of_them = {"top_k": np.zeros(2, np.int32), "top_p": one, "logprobs": np.zeros(2, bool)}
    texts = endpoints["start"](prompt=prompt, steps=steps, temperature=one, seed=seed, **all_of_them)["text"]
    assert texts[1] == start(endpoints["start"], ["thus é"], 30, 1, 5)["text"][0]
    assert len(texts[0].decode()) == 30


def test_each_row_gets_as_many_characters_as_it_asked_for(endpoints: Mapping[str, Endpoint]) -> None:
    answer = start(endpoints["start"], ["thus " * 300] * 4, [0, 1, 33, -5], 2, [1, 2, 3, 4])
    assert [len(text.decode()) for text in answer["text"]] == [0, 1, 33, 0]
    assert not answer["finished"].any()
    np.testing.assert_array_equal(answer["state_position"], [0, 1, 33, 0])


def test_the_hand_written_cell_is_kerass_lstm() -> None:
    model = PLUGIN.build_model(SMALL, "stateful", split(TEXT, SMALL.window, SMALL.step).train)
    passages = split(TEXT, SMALL.window, SMALL.step).test.inputs[:8]
    cell, ids = Cell.of(model), np.asarray(model.get_layer("alphabet").ids(passages))
    state = cell.empty(8)
    for column in ids.T:
        state = cell.step(cell.look(state[0])[0], state[1], tf.constant(column))
    chances = tf.nn.softmax(cell.look(state[0])[1] + cell.offsets)
    np.testing.assert_allclose(
        chances[:, : len(model.get_layer("alphabet").characters)], model(passages)[:, -1], atol=2e-3
    )


def test_sums_on_the_grid_are_exact_in_any_order() -> None:
    random = np.random.default_rng(0)
    weights = on_grid(random.normal(0, 1, (128, 32))).numpy() / STATE_UNITS
    state = np.round(random.uniform(-1, 1, (1, 128)) * STATE_UNITS).astype(np.float32)
    terms = (state.T * weights).astype(np.float32)
    sums = [terms[random.permutation(128)].cumsum(axis=0, dtype=np.float32)[-1] for _ in range(5)]
    for one in sums:
        np.testing.assert_array_equal(one, (state.astype(np.float64) @ weights)[0])
    assert 2 ** (np.finfo(np.float32).nmant + 1) == EXACT


def test_the_noise_draws_from_the_softmax_at_every_temperature() -> None:
    # The book's check: p = (0.5, 0.3, 0.2) at T = 0.2, 0.5, 1.0, 1.2.
    expected = {
        0.2: (0.919118, 0.071471, 0.009412),
        0.5: (0.657895, 0.236842, 0.105263),
        1.0: (0.5, 0.3, 0.2),
        1.2: (0.471850, 0.308269, 0.219881),
    }
    noise = gumbel(tf.range(100, dtype=tf.int64), tf.zeros(100, tf.int64), 500, 16).numpy()[..., :3]
    for temperature, chances in expected.items():
        drawn = np.argmax(np.log([0.5, 0.3, 0.2]) + temperature * noise, axis=-1)
        np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, chances, atol=0.008)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "allowed"),
    [
        (1, 0, 1.0, [1, 1, 1, 1]),
        (1, 2, 1.0, [1, 0, 1, 0]),
        (1, 0, 0.79, [1, 0, 1, 0]),
        (1, 0, 0.81, [1, 0, 1, 1]),
        (1, 1, 0.81, [1, 0, 0, 0]),
        (1, 9, 0.0, [1, 0, 0, 0]),
        (0.2, 0, 0.9, [1, 0, 0, 0]),  # 0.5 against 0.3, each to the fifth: 0.93 of all
        (0, 3, 0.9, [1, 0, 1, 1]),
    ],
)
def test_only_the_likeliest_are_drawn_from(temperature: float, top_k: int, top_p: float, allowed: list[int]) -> None:
    logits = np.log(np.array([[0.5, 0.05, 0.3, 0.15]], np.float32))
    found = likely(logits, *(tf.constant([knob]) for knob in (float(temperature), top_k, top_p)))
    assert found.numpy().tolist() == [list(map(bool, allowed))]


def test_who_does_not_ask_draws_from_all_however_unlikely() -> None:
    logits = tf.constant(np.random.default_rng(1).normal(0, 8, (500, 64)), tf.float32)
    assert likely(logits, tf.ones(500), tf.zeros(500, tf.int32), tf.ones(500)).numpy().all()


def test_a_text_of_the_likeliest_character_is_the_greedy_one(endpoints: Mapping[str, Endpoint]) -> None:
    greedy, first, nucleus, free = start(
        endpoints["start"], ["thus "] * 4, 40, [0, 2, 2, 2], 1, [0, 1, 0, 0], [1, 1, 0, 1]
    )["text"]
    assert greedy == first == nucleus != free


def test_a_text_tells_how_likely_its_characters_were_to_the_row_that_asks(endpoints: Mapping[str, Endpoint]) -> None:
    silent = start(endpoints["start"], ["thus "], 9, 1, 5)
    assert [silent[name].shape for name in LIKELIHOODS] == [(1, 0), (1, 0, 5), (1, 0, 5)]
    asked = start(endpoints["start"], ["thus "] * 2, [9, 4], [1, 0], 5, logprobs=[True, False])
    assert asked["text"][0] == silent["text"][0]
    told, characters, best = (asked[name] for name in LIKELIHOODS)
    assert told.shape == (2, 9) and characters.shape == best.shape == (2, 9, 5)
    for at, character in enumerate(asked["text"][0].decode()):
        among = [name.decode() for name in characters[0, at]]
        assert list(best[0, at]) == sorted(best[0, at], reverse=True)
        assert told[0, at] <= best[0, at, 0] <= 0 and np.exp(best[0, at]).sum() <= 1 + 1e-5
        if character in among:
            np.testing.assert_allclose(told[0, at], best[0, at, among.index(character)], rtol=1e-6)
    greedy = asked["text"][1].decode()
    assert [name.decode() for name in characters[1, :4, 0]] == list(greedy)  # the likeliest is what is written
    later = endpoints["continue"](steps=np.array([3], np.int32), **states(asked, slice(0, 1)))
    assert later["logprobs"].shape == (1, 3)


def test_noise_can_be_entered_anywhere() -> None:
    seeds = tf.constant([0, 1, -1, 2**62], tf.int64)
    whole = gumbel(seeds, tf.zeros(4, tf.int64), 20, 16).numpy()
    later = gumbel(seeds, tf.constant([0, 3, 7, 13], tf.int64), 7, 16).numpy()
    for row, first in enumerate((0, 3, 7, 13)):
        np.testing.assert_array_equal(later[:, row], whole[first : first + 7, row])
    assert np.unique(whole).size > 0.99 * whole.size


def test_both_variants_have_the_books_parameter_count() -> None:
    alphabet = "".join(map(chr, range(ord("a"), ord("a") + 55)))  # 57 characters with newline and space
    train = split(alphabet * 30, 60, 60).train
    for variant in PLUGIN.variants:
        assert PLUGIN.build_model(TextConfig(), variant, train).count_params() == 641 * 57 + 66_048 == 102_585


@pytest.mark.parametrize("variant", PLUGIN.variants)
def test_training_brings_the_loss_below_the_baseline(variant: str) -> None:
    config = TextConfig(window=12, step=2, optimizer="adam", batch_size=32)
    data = split(TEXT, config.window, config.step)
    keras.utils.set_random_seed(1)
    model = PLUGIN.build_model(config, variant, data.train)
    model.fit(data.train.inputs, data.train.targets, batch_size=32, epochs=3, verbose=0)
    assert PLUGIN.evaluate(model, data.test, config)["loss"] < PLUGIN.baseline(data)["loss"]


def test_the_baseline_is_the_cross_entropy_of_character_frequencies() -> None:
    train, test = (np.array([[ord(c) for c in text]]) for text in ("aab ", "ab#"))
    assert unigram_nats(train, test) == pytest.approx(-np.log([0.5, 0.25, 0.25]).mean())  # '#' is read as a space


def test_no_passage_crosses_the_cut_and_targets_are_one_character_later() -> None:
    data = split(TEXT, 60, 3)
    read = [PLUGIN.show(passage) for passage in (data.train.inputs[-1], data.train.targets[-1], data.test.inputs[0])]
    assert read[0][1:] == read[1][:-1]
    cut = round(len(TEXT) * 0.9)
    assert read[1] in TEXT[:cut] and TEXT[cut:].startswith(read[2])
    with pytest.raises(InvalidArgument, match="Received: 9 characters in all"):
        split("too short", 60, 3)


class Shelf:
    """Datasets that are files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        file = self.folder / dataset.file
        if not file.exists():
            raise Unavailable(f"{dataset.file} is on no shelf")
        return dataset.read(file)


def test_austen_stands_in_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / AUSTEN.file).write_text("It is a truth, É.", encoding="utf-8")
    assert read_corpus(Shelf(tmp_path)) == "it is a truth, é."
    assert "Training on austen-sense.txt (Sense and Sensibility) instead of Nietzsche" in caplog.text


def test_a_text_of_ones_own_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("Dear É.", encoding="utf-8")
    assert read_corpus(Shelf(tmp_path), "letters.txt") == "dear é."
    with pytest.raises(Unavailable, match="own-"):  # a file of the same name is another text
        read_corpus(Shelf(tmp_path), "https://example.org/old/letters.txt")
    with pytest.raises(Unavailable, match=r"none\.txt"):
        read_corpus(Shelf(tmp_path), "none.txt")


def test_a_corpus_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_bytes(b"Dear \xff")
    with pytest.raises(InvalidArgument, match=r"UTF-8 text. Received: letters\.txt with invalid start byte at 5"):
        read_corpus(Shelf(tmp_path), "letters.txt")


def test_a_package_carries_austen_in_some_folder(tmp_path: Path) -> None:
    folder = tmp_path / "package" / "gutenberg"
    folder.mkdir(parents=True)
    (folder / "austen-sense.txt").write_text("The family of Dashwood")
    assert AUSTEN.sources[0].read(tmp_path)["text"].tobytes() == b"The family of Dashwood"


@pytest.mark.skipif("TENSORGATE_DATASETS" not in os.environ, reason="TENSORGATE_DATASETS is not set")
def test_the_books_corpus_is_the_books() -> None:
    text = read_corpus(Shelf(Path(os.environ["TENSORGATE_DATASETS"])))
    assert (len(text), len(set(text))) == (600_893, 57)
    assert read_text is NIETZSCHE.read
