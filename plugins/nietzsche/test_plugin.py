"""Served, every variant writes the same text for the same seed, whoever asks beside it and in whatever parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array
from plugins.nietzsche.data import split
from plugins.nietzsche.model import TextConfig
from plugins.nietzsche.plugin import PLUGIN

LIKELIHOODS = ("logprobs", "top_tokens", "top_logprobs")
TEXT = "thus spoke the camel:\nwhat is heavy? so asks the load-bearing spirit, é and kneels.\n" * 40


def small(variant: str) -> TextConfig:
    """The variant with a tiny network."""
    settings = {**PLUGIN.variants[variant].settings, "window": 12, "step": 5, "units": 16, "vocabulary": 15}
    return TextConfig.model_validate(settings)


def trained(variant: str) -> Any:
    """A model whose weights are large and random: far from uniform, so that sampling has something to get wrong."""
    keras.utils.set_random_seed(3)
    model = PLUGIN.build_model(small(variant), variant, split(TEXT, small(variant)).train)
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, 0.8, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module", params=PLUGIN.variants)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def endpoints(variant: str, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, trained(variant))


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


def test_a_prompt_is_read_in_lower_case_and_an_empty_one_is_a_line_break(endpoints: Mapping[str, Endpoint]) -> None:
    texts = start(endpoints["start"], ["THUS É", "thus é", "", "\n"], 30, 1, 5)["text"]
    assert texts[0] == texts[1]
    assert texts[2] == texts[3]


def test_what_is_not_known_of_a_prompt_is_told_once_each(endpoints: Mapping[str, Endpoint], variant: str) -> None:
    prompts = ["the camel", "the 漢漢\U0001f600漢 Zzz camel zzz", "the    zzz camel", "z" * 3000 + "the"]
    answer = start(endpoints["start"], prompts, 30, 1, 5)
    told = [one.decode() for one in answer["unknown"]]
    if variant == "words":
        assert told == ["", "漢漢 \U0001f600 漢 zzz", "zzz", "z" * 3000 + "the"]
        assert answer["prompt_tokens"].tolist() == [2, 7, 6, 1]
    else:
        assert told == ["", "z" if variant == "windowed" else "漢\U0001f600z", "z", "z"]  # of what was read


def test_an_unknown_character_is_read_as_a_space(endpoints: Mapping[str, Endpoint], variant: str) -> None:
    prompts = ["the 漢\U0001f600 soul", "the    soul", "the 漢 camel", "the 字 camel"]
    texts = start(endpoints["start"], prompts, 30, 1, 5)["text"]
    assert texts[0] == texts[1] or variant == "words"
    assert texts[2] == texts[3]  # one unknown word is as good as another


def test_a_word_that_begins_a_prompt_is_the_one_of_the_middle_of_a_line(serve: Serve) -> None:
    call = serve(PLUGIN, trained("words"), "start")["start"]
    assert start(call, ["camel"], 30, 1, 5)["text"][0] == start(call, [" camel"], 30, 1, 5)["text"][0]


def test_at_most_64_unknown_ones_are_told(endpoints: Mapping[str, Endpoint], variant: str) -> None:
    strange = [chr(0x4E00 + number) for number in range(100)]
    told = start(endpoints["start"], [" ".join(strange)], 1, 1, 5)["unknown"][0].decode()
    if variant == "words":
        assert told.split() == strange[:64]
    else:
        assert told == "".join(strange[{"windowed": 94, "conv1d": 68}.get(variant, 0) :][:64])


def test_the_unknown_word_is_never_written(serve: Serve) -> None:
    model = trained("words")
    kernel, bias = model.get_layer("next").get_weights()
    bias[0] = 100.0
    model.get_layer("next").set_weights([kernel, bias])
    answer = start(serve(PLUGIN, model, "start")["start"], ["the "] * 2, 40, [0, 2], 1, top_k=[0, 9], logprobs=True)
    assert (answer["token_lengths"] > 0).all()
    assert np.isfinite(answer["logprobs"]).all() and (answer["logprobs"] > -100).all()


def test_bytes_that_are_no_utf8_trouble_nobody(endpoints: Mapping[str, Endpoint]) -> None:
    steps, one, seed = np.full(2, 30, np.int32), np.ones(2, np.float32), np.array([5, 5])
    prompt = np.array([b"thus \xff\xfe", "thus é".encode()], object)
    all_of_them = {"top_k": np.zeros(2, np.int32), "top_p": one, "logprobs": np.zeros(2, bool)}
    texts = endpoints["start"](prompt=prompt, steps=steps, temperature=one, seed=seed, **all_of_them)["text"]
    assert texts[1] == start(endpoints["start"], ["thus é"], 30, 1, 5)["text"][0]
    assert texts[0].decode()


def test_each_row_gets_as_many_tokens_as_it_asked_for(endpoints: Mapping[str, Endpoint], variant: str) -> None:
    answer = start(endpoints["start"], ["thus " * 300] * 4, [0, 1, 33, -5], 2, [1, 2, 3, 4])
    texts = [text.decode() for text in answer["text"]]
    if variant == "words":
        assert (answer["token_lengths"] > 0).sum(axis=1).tolist() == [0, 1, 33, 0]
        assert answer["token_lengths"].sum(axis=1).tolist() == list(map(len, texts))
    else:
        assert list(map(len, texts)) == [0, 1, 33, 0]
    assert not answer["finished"].any()
    np.testing.assert_array_equal(answer["state_position"], [0, 1, 33, 0])


def test_a_text_of_the_likeliest_character_is_the_greedy_one(endpoints: Mapping[str, Endpoint]) -> None:
    greedy, first, nucleus, free = start(
        endpoints["start"], ["thus "] * 4, 40, [0, 2, 2, 2], 1, [0, 1, 0, 0], [1, 1, 0, 1]
    )["text"]
    assert greedy == first == nucleus != free


def test_a_text_tells_how_likely_its_tokens_were_to_the_row_that_asks(endpoints: Mapping[str, Endpoint]) -> None:
    silent = start(endpoints["start"], ["thus "], 9, 1, 5)
    assert [silent[name].shape for name in LIKELIHOODS] == [(1, 0), (1, 0, 5), (1, 0, 5)]
    asked = start(endpoints["start"], ["thus "] * 2, [9, 4], [1, 0], 5, logprobs=[True, False])
    assert asked["text"][0] == silent["text"][0]
    told, names, best = (asked[name] for name in LIKELIHOODS)
    assert told.shape == (2, 9) and names.shape == best.shape == (2, 9, 5)
    for at, token in enumerate(tokens_of(asked, 0)):
        among = [name.decode() for name in names[0, at]]
        assert list(best[0, at]) == sorted(best[0, at], reverse=True)
        assert told[0, at] <= best[0, at, 0] <= 0 and np.exp(best[0, at]).sum() <= 1 + 1e-5
        if token in among:
            np.testing.assert_allclose(told[0, at], best[0, at, among.index(token)], rtol=1e-6)
    likeliest = [name.decode() for name in names[1, :4, 0]]
    assert likeliest == tokens_of(asked, 1)  # at temperature 0 it is what is written
    later = endpoints["continue"](steps=np.array([3], np.int32), **states(asked, slice(0, 1)))
    assert later["logprobs"].shape == (1, 3)


def tokens_of(answer: Mapping[str, Array], row: int) -> list[str]:
    """The tokens of a text; characters where their lengths are not told."""
    text = answer["text"][row].decode()
    lengths = (
        [length for length in answer["token_lengths"][row] if length] if "token_lengths" in answer else [1] * len(text)
    )
    ends = np.cumsum(lengths)
    return [text[end - length : end] for end, length in zip(ends, lengths, strict=True)]
