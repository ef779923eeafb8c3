"""A model whose tokens are words is counted, cut and told of by words, at every door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import accumulate
from typing import Any

import openai
import pytest

from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import SPEAKER, spoken
from tests.gateway.test_text import EVENTS, read_events
from tests.gateway.world import World, world

pytestmark = pytest.mark.anyio

PATH = "/api/models/speaker/generate-text"
PROMPT = "so , now"  # three words
ASKED: dict[str, Any] = {"model": "speaker", "prompt": PROMPT, "max_tokens": 30, "seed": 1}


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[World]:
    """In place of the default world."""
    async with world({"speaker": SPEAKER}) as made:
        yield made


async def test_length_counts_words(here: World) -> None:
    body = {"prompt": PROMPT, "length": 30, "seed": 1}
    wanted = "".join(spoken(1, 3, 30))
    assert (await here.rest.post(PATH, json=body)).json()["text"] == wanted
    events = read_events((await here.rest.post(PATH, json=body, headers=EVENTS)).text)[:-1]
    assert "".join(event["text"] for event in events) == wanted


async def test_what_the_model_does_not_know_of_a_prompt_is_told_once(here: World) -> None:
    body = {"prompt": PROMPT, "length": 30, "n": 2}
    whole = (await here.rest.post(PATH, json=body)).json()
    assert whole["unknown"] == "," and "unknown" not in whole["alternatives"][0]
    assert "unknown" not in (await here.rest.post(PATH, json={**body, "prompt": "so now"})).json()
    first, *others = read_events((await here.rest.post(PATH, json={**body, "n": 1}, headers=EVENTS)).text)[:-1]
    assert first["unknown"] == "," and not any("unknown" in event for event in others)
    request = pb.GenerateTextRequest(model=pb.Model(name="speaker"), prompt=PROMPT, length=30)
    assert [chunk.unknown async for chunk in here.inference.GenerateText(request)][:2] == [",", ""]


async def test_what_is_held_back_for_a_stop_string_does_not_hide_it(here: World) -> None:
    body = {"prompt": PROMPT, "length": 8, "seed": 0, "stop": "".join(spoken(0, 3, 8)) + "!"}
    (event, *_) = read_events((await here.rest.post(PATH, json=body, headers=EVENTS)).text)
    assert event["unknown"] == ","


@pytest.mark.parametrize("words", [1, 5, 9, 12])
@pytest.mark.parametrize("inside", [0, 1])
async def test_a_stop_string_cuts_between_words_or_within_one(here: World, words: int, inside: int) -> None:
    """A word of which the first letter was told is told."""
    said = spoken(2, 3, 40)
    text = "".join(said)
    stop = text[len("".join(said[:words])) + inside :][:18]
    first = text.find(stop)
    begun = [word for word, end in zip(said, accumulate(map(len, said)), strict=True) if end - len(word) < first]
    body = {"prompt": PROMPT, "length": 40, "seed": 2, "logprobs": True, "stop": stop}
    whole = (await here.rest.post(PATH, json=body)).json()
    assert (whole["text"], whole["finish_reason"]) == (text[:first], "stop")
    assert [token["token"] for token in whole.get("logprobs", [])] == begun
    assert [token["logprob"] for token in whole.get("logprobs", [])] == [-len(word) / 8 for word in begun]
    events = read_events((await here.rest.post(PATH, json=body, headers=EVENTS)).text)[:-1]
    assert [token["token"] for event in events for token in event.get("logprobs", [])] == begun


async def test_openais_clients_are_told_words_and_their_number(client: openai.AsyncOpenAI) -> None:
    said = spoken(1, 3, 30)
    answer = await client.completions.create(**ASKED, logprobs=1, echo=True)
    told = answer.choices[0].logprobs
    assert answer.choices[0].text == PROMPT + "".join(said)
    assert told is not None and told.tokens == said
    assert told.text_offset == [
        len(PROMPT) + end - len(word) for word, end in zip(said, accumulate(map(len, said)), strict=True)
    ]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 30, 33)
    chunks = [chunk async for chunk in await client.completions.create(**ASKED, logprobs=1, echo=True, stream=True)]
    logprobs = [chunk.choices[0].logprobs for chunk in chunks]
    assert [place for one in logprobs if one for place in one.text_offset or []] == told.text_offset


async def test_the_count_is_of_what_was_told(client: openai.AsyncOpenAI) -> None:
    several = {**ASKED, "prompt": [PROMPT, "so"], "n": 2, "stop": " the"}
    answer = await client.completions.create(**several)
    written = [spoken(seed, start, 30).index(" the") for start in (3, 1) for seed in (1, 2)]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, sum(written))
