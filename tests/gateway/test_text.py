"""Text is written chunk by chunk, whoever asks, and stops when nobody listens."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import grpc
import pytest

from services.gateway.text import PACE
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import letters, logprob
from tests.gateway.world import World, eventually

pytestmark = pytest.mark.anyio

EVENTS = {"Accept": "text/event-stream"}
PATH = "/api/models/writer/generate-text"


def read_events(text: str) -> list[Any]:
    """The data of server-sent events; [DONE] stays text."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, 400])
async def test_whole_streamed_and_grpc_text_are_the_same(here: World, length: int) -> None:
    body = {"prompt": "soul", "length": length, "seed": 3}
    wanted = letters(3, 4, length)
    whole = (await here.rest.post(PATH, json=body)).json()
    assert whole == {"model": "writer", "version": 1, "text": wanted, "finish_reason": "length"}
    streamed = read_events((await here.rest.post(PATH, json=body, headers=EVENTS)).text)
    assert streamed[-1] == "[DONE]"
    assert streamed[-2]["finish_reason"] == "length"
    assert "".join(event["text"] for event in streamed[:-1]) == wanted
    request = pb.GenerateTextRequest(model=pb.Model(name="writer"), prompt="soul", length=length)
    request.knobs["seed"].number = 3
    chunks = [chunk async for chunk in here.inference.GenerateText(request)]
    assert "".join(chunk.text for chunk in chunks) == wanted
    assert [chunk.finish_reason for chunk in chunks][-2:] in (["", "length"], ["length"])
    assert chunks[0].version == 1


async def test_the_first_chunk_is_small_and_the_later_ones_grow(here: World) -> None:
    response = await here.rest.post(PATH, json={"prompt": "", "length": 200}, headers=EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    lengths = [len(event["text"]) for event in read_events(response.text)[:-1]]
    assert lengths[0] == 8
    assert max(lengths) > 16
    assert all(after <= 2 * before for before, after in pairwise(lengths))


@pytest.mark.parametrize(
    ("steps", "seconds", "following"),
    [(8, 0.001, 16), (64, 0.019, 128), (256, 0.001, 256), (64, 0.03, 64), (64, 0.2, 32), (8, 5, 8)],
)
def test_chunks_grow_while_calls_are_short_and_shrink_when_they_are_long(
    steps: int, seconds: float, following: int
) -> None:
    assert PACE.after(steps, seconds) == following


async def test_a_model_that_has_finished_stops_before_the_length(here: World) -> None:
    answer = (await here.rest.post(PATH, json={"prompt": "", "length": 2000})).json()
    assert answer["finish_reason"] == "stop"
    assert 1000 <= len(answer["text"]) < 2000


async def test_a_text_ends_before_a_stop_string_whichever_chunk_it_falls_in(here: World) -> None:
    text = letters(3, 4, 400)
    for stop in (text[5:8], text[7:10], [text[30:33], text[60:62]]):
        first = min(text.find(string) for string in ([stop] if isinstance(stop, str) else stop))
        body = {"prompt": "soul", "seed": 3, "stop": stop}
        assert (await here.rest.post(PATH, json=body)).json() == {
            "model": "writer",
            "version": 1,
            "text": text[:first],
            "finish_reason": "stop",
        }
        events = read_events((await here.rest.post(PATH, json=body, headers=EVENTS)).text)
        assert "".join(event["text"] for event in events[:-1]) == text[:first]
        assert events[-2]["finish_reason"] == "stop"
    request = pb.GenerateTextRequest(model=pb.Model(name="writer"), prompt="soul", length=50, stop=[text[9:12]])
    request.knobs["seed"].number = 3
    assert "".join([chunk.text async for chunk in here.inference.GenerateText(request)]) == text[:9]


async def test_several_texts_have_seeds_that_follow_each_other_and_share_calls(here: World) -> None:
    here.server.calls.clear()
    body = {"prompt": "soul", "length": 100, "seed": 3, "n": 3}
    wanted = [letters(seed, 4, 100) for seed in (3, 4, 5)]
    whole = (await here.rest.post(PATH, json=body)).json()
    assert [whole["text"], *(other["text"] for other in whole["alternatives"])] == wanted
    assert max(rows for *_, rows in here.server.calls) > 1
    assert len(here.server.calls) < 3 * 2  # a text of 100 takes two calls
    events = read_events((await here.rest.post(PATH, json=body, headers=EVENTS)).text)[:-1]
    request = pb.GenerateTextRequest(model=pb.Model(name="writer"), prompt="soul", length=100, n=3)
    request.knobs["seed"].number = 3
    chunks = [chunk async for chunk in here.inference.GenerateText(request)]
    for index in range(3):
        assert "".join(event["text"] for event in events if event.get("index", 0) == index) == wanted[index]
        assert "".join(chunk.text for chunk in chunks if chunk.index == index) == wanted[index]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"n": 0}, "n is 1 to 16 texts. Received: 0"),
        ({"n": 17}, "n is 1 to 16 texts. Received: 17"),
        ({"n": 2, "seed": "x"}, "seed"),
        ({"n": 2, "seed": True}, "seed"),
        ({"n": 2, "seed": 2**63 - 1}, "has a seed below 2^63. Received: 9223372036854775807 for the first"),
        ({"stop": ""}, "stop is at most 4 strings of 1 to 64 characters"),
        ({"stop": [1]}, "stop"),
    ],
)
async def test_what_cannot_be_written_is_refused_with_the_rule(here: World, fields: dict[str, Any], rule: str) -> None:
    here.server.calls.clear()
    answer = await here.rest.post(PATH, json={"prompt": "", **fields})
    assert answer.status_code == 400
    assert rule in answer.json()["error"]["message"]
    assert not here.server.calls


async def test_seeds_are_counted_exactly_over_grpc_too(here: World) -> None:
    request = pb.GenerateTextRequest(model=pb.Model(name="writer"), prompt="soul", length=20, n=3)
    request.knobs["seed"].number = 2.0**53
    texts = ["", "", ""]
    async for chunk in here.inference.GenerateText(request):
        texts[chunk.index] += chunk.text
    assert texts == [letters(2**53 + number, 4, 20) for number in range(3)]


async def test_each_character_comes_with_how_likely_it_was_if_asked(here: World) -> None:
    text = letters(3, 4, 30)
    wanted = [{"token": letter, "logprob": logprob(letter), "top": {"a": 0.0, "b": -0.125}} for letter in text]
    stop = letters(3, 34, 3)
    body = {"prompt": "soul", "length": 50, "seed": 3, "logprobs": True, "stop": stop}
    first = letters(3, 4, 50).find(stop)
    text, wanted = text[:first], wanted[:first]
    whole = (await here.rest.post(PATH, json=body)).json()
    assert (whole["text"], whole["logprobs"]) == (text, wanted)
    events = read_events((await here.rest.post(PATH, json=body, headers=EVENTS)).text)[:-1]
    assert [one for event in events for one in event.get("logprobs", [])] == wanted
    assert all(len(event["text"]) == len(event.get("logprobs", [])) for event in events)
    request = pb.GenerateTextRequest(model=pb.Model(name="writer"), prompt="soul", length=first)
    request.knobs["seed"].number = 3
    request.knobs["logprobs"].number = 1
    tokens = [token async for chunk in here.inference.GenerateText(request) for token in chunk.tokens]
    assert [{"token": one.text, "logprob": one.logprob, "top": dict(one.top)} for one in tokens] == wanted


async def test_who_does_not_ask_is_not_told_though_others_in_the_call_are(here: World) -> None:
    async def slowly() -> None:
        await asyncio.sleep(0.02)

    here.server.pause = slowly
    bodies = [{"prompt": "p" * n, "length": 60, "seed": n, "logprobs": n % 2 == 1} for n in range(6)]
    answers = await asyncio.gather(*(here.rest.post(PATH, json=body) for body in bodies))
    here.server.pause = lambda: asyncio.sleep(0)
    for n, answer in enumerate(answers):
        assert answer.json()["text"] == letters(n, n, 60)
        assert len(answer.json().get("logprobs", [])) == (60 if n % 2 else 0)


async def test_streams_of_different_callers_share_calls(here: World) -> None:
    async def slowly() -> None:
        await asyncio.sleep(0.02)

    here.server.pause = slowly
    bodies = [{"prompt": "p" * n, "length": 150, "seed": n} for n in range(8)]
    answers = await asyncio.gather(*(here.rest.post(PATH, json=body) for body in bodies))
    here.server.pause = lambda: asyncio.sleep(0)
    for n, answer in enumerate(answers):
        assert answer.json()["text"] == letters(n, n, 150)
    assert max(rows for *_, rows in here.server.calls) > 1
    assert len(here.server.calls) < 8 * 5


async def test_a_client_who_reads_along_and_goes_away_stops_the_writing(here: World) -> None:
    body = {"prompt": "", "length": 900}
    async with here.abandoned() as held, here.rest.stream("POST", PATH, json=body, headers=EVENTS) as response:
        lines = response.aiter_lines()  # dropped, it would close the response
        await anext(lines)
        await held()


async def test_a_client_who_waits_for_the_whole_text_and_goes_away_stops_the_writing(here: World) -> None:
    async with here.abandoned() as held:
        asking = asyncio.create_task(here.rest.post(PATH, json={"prompt": "", "length": 900}))
        await held()
        asking.cancel()


async def test_a_grpc_client_that_goes_away_stops_the_writing(here: World) -> None:
    async with here.abandoned() as held:
        call = here.inference.GenerateText(pb.GenerateTextRequest(model=pb.Model(name="writer"), length=900))
        await call.read()
        await held()
        call.cancel()


async def test_a_fault_before_the_first_word_is_a_status_and_after_it_an_event(here: World) -> None:
    refused = await here.rest.post(PATH, json={"prompt": "", "seed": "x"}, headers=EVENTS)
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/json"

    async def unload() -> None:
        if len(here.server.calls) == 2:
            del here.server.loaded["writer"]

    model = here.server.loaded["writer"]
    here.server.pause = unload
    torn = await here.rest.post(
        "/api/models/writer/versions/1/generate-text", json={"prompt": "", "length": 200}, headers=EVENTS
    )
    here.server.pause = lambda: asyncio.sleep(0)
    here.server.loaded["writer"] = model
    assert torn.status_code == 200
    assert "event: error" in torn.text
    events = read_events(torn.text)
    assert events[-1]["error"]["code"] == "NOT_FOUND"
    assert events[-1]["error"]["request_id"] == torn.headers["x-request-id"]
    await eventually(lambda: is_live(here))


async def is_live(here: World) -> bool:
    """The writer can be called again."""
    return bool((await here.callable_versions())["writer"])


async def test_a_grpc_stream_that_fails_ends_with_a_status(here: World) -> None:
    chunks = here.inference.GenerateText(pb.GenerateTextRequest(model=pb.Model(name="nobody"), prompt="a"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await chunks.read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
