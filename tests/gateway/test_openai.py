"""OpenAI's own client against the gateway."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.gateway.models import letters, logprob
from tests.gateway.world import World

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {"model": "writer", "prompt": "soul", "max_tokens": 50, "seed": 3}


async def test_the_models_that_write_or_draw_are_listed(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["painter", "sketcher", "writer"]


async def test_a_completion_is_what_the_typed_door_writes(client: openai.AsyncOpenAI, here: World) -> None:
    answer = await client.completions.create(**ASKED)
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.index) == (letters(3, 4, 50), "length", 0)
    assert (answer.object, answer.model, answer.system_fingerprint) == ("text_completion", "writer", "writer/1")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 50, 54)
    typed = await here.rest.post("/api/models/writer/generate-text", json={"prompt": "soul", "length": 50, "seed": 3})
    assert typed.json()["text"] == choice.text


@pytest.mark.parametrize("model", ["writer/1", "writer@stable"])
async def test_a_version_or_a_label_may_be_named(client: openai.AsyncOpenAI, model: str) -> None:
    answer = await client.completions.create(**{**ASKED, "model": model})
    assert (answer.model, answer.choices[0].text) == (model, letters(3, 4, 50))


async def test_a_stream_is_the_same_text_with_the_count_last(client: openai.AsyncOpenAI) -> None:
    stream = await client.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    *texts, last = chunks
    assert "".join(chunk.choices[0].text for chunk in texts) == letters(3, 4, 50)
    assert [chunk.choices[0].finish_reason for chunk in texts] == [*[None] * (len(texts) - 1), "length"]
    assert last.choices == []
    assert last.usage is not None and last.usage.total_tokens == 54
    assert len({chunk.id for chunk in chunks}) == 1


async def test_several_prompts_with_several_texts_each_are_counted_in_order(client: openai.AsyncOpenAI) -> None:
    several = {**ASKED, "prompt": ["soul", "body!"], "n": 2, "echo": True, "stop": [letters(3, 4, 12)[10:]]}
    answer = await client.completions.create(**several)
    wanted = [(0, "soul", 3, 4), (1, "soul", 4, 4), (2, "body!", 3, 5), (3, "body!", 4, 5)]
    for choice, (index, prompt, seed, start) in zip(answer.choices, wanted, strict=True):
        whole = letters(seed, start, 50)
        assert choice.index == index
        assert choice.text == prompt + whole.partition(several["stop"][0])[0]
        assert choice.finish_reason == "stop"
    chunks = [chunk.choices[0] async for chunk in await client.completions.create(**several, stream=True)]
    for choice in answer.choices:
        assert "".join(chunk.text for chunk in chunks if chunk.index == choice.index) == choice.text


@pytest.mark.parametrize("top", [0, 1])
async def test_how_likely_each_character_was_is_told_if_asked(client: openai.AsyncOpenAI, top: int) -> None:
    asked = {**ASKED, "logprobs": top, "echo": True}
    told = (await client.completions.create(**asked)).choices[0].logprobs
    assert told is not None
    assert told.tokens == list(letters(3, 4, 50))
    assert told.token_logprobs == [logprob(letter) for letter in letters(3, 4, 50)]
    assert told.top_logprobs == [{"a": 0.0} if top else {}] * 50
    assert told.text_offset == list(range(4, 54))
    chunks = [chunk.choices[0].logprobs async for chunk in await client.completions.create(**asked, stream=True)]
    assert [token for chunk in chunks if chunk for token in chunk.tokens or []] == told.tokens
    assert [place for chunk in chunks if chunk for place in chunk.text_offset or []] == told.text_offset


async def test_without_a_seed_each_request_draws_its_own(client: openai.AsyncOpenAI) -> None:
    texts = {(await client.completions.create(model="writer", prompt="")).choices[0].text for _ in range(6)}
    assert len(texts) > 1
    assert {len(text) for text in texts} == {16}


@pytest.mark.parametrize(
    ("fields", "status", "rule"),
    [
        ({"model": "nobody"}, 404, "nobody"),
        ({"model": "digits"}, 400, "digits"),
        ({"prompt": [1, 2]}, 400, "prompt"),
        ({"max_tokens": 0}, 400, "max_tokens: Input should be greater than or equal to 1. Received: 0"),
        ({"n": 17}, 400, "n is 1 to 16 texts. Received: 17"),
        ({"prompt": ["a"] * 17}, 400, "at most 16 of them"),
        ({"prompt": ["a"] * 9, "n": 2}, 400, "at most 16 texts. Received: 18"),
        ({"prompt": []}, 400, "at least one prompt"),
        ({"best_of": 3}, 400, "best_of is n"),
        ({"logprobs": 6}, 400, "logprobs"),
        ({"frequency_penalty": 1}, 400, "frequency_penalty"),
        ({"extra_body": {"top_k": 3}}, 400, "top_k"),  # a knob that this model does not have
        ({"top_p": 0.5}, 400, "top_p"),  # nor this
        ({"temperature": "hot"}, 400, "temperature"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_be_answered_is_an_error_of_openais_form(
    client: openai.AsyncOpenAI, fields: dict[str, Any], status: int, rule: str, stream: bool
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await client.completions.create(**{**ASKED, **fields}, stream=stream)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "invalid_request_error"
    assert rule in caught.value.body["message"]


async def test_a_fault_after_the_first_word_reaches_the_client(client: openai.AsyncOpenAI, here: World) -> None:
    pause = here.server.pause

    async def break_down() -> None:
        if len(here.server.calls) == 2:
            raise RuntimeError("broken")

    here.server.calls.clear()
    here.server.pause = break_down
    told = ""
    try:
        stream = await client.completions.create(**{**ASKED, "max_tokens": 200}, stream=True)
        with pytest.raises(openai.APIError) as caught:
            async for chunk in stream:
                told += chunk.choices[0].text
    finally:
        here.server.pause = pause
    assert told and letters(3, 4, 200).startswith(told)
    assert "broken" not in str(caught.value)


@pytest.mark.parametrize("nothing", ["max_tokens", "temperature", "n", "stop", "logprobs", "logit_bias", "user"])
async def test_null_is_as_good_as_left_out(here: World, nothing: str) -> None:
    answer = await here.rest.post("/v1/completions", json={**ASKED, nothing: None})
    assert answer.status_code == 200


async def test_an_error_is_of_the_form_of_the_door_that_was_asked(here: World) -> None:
    assert isinstance((await here.rest.get("/v1/completions")).json()["error"], str)  # TensorFlow Serving's
    assert isinstance((await here.rest.post("/v1/completions")).json()["error"], dict)


async def test_a_million_prompts_are_one_short_error(here: World) -> None:
    for prompts in ([1] * 10**6, [""] * 10**6):
        answer = await here.rest.post("/v1/completions", json={**ASKED, "prompt": prompts, "n": 16})
        assert (answer.status_code, len(answer.content) < 1000) == (400, True)
