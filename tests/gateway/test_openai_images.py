"""OpenAI's own client asks for pictures."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.gateway.models import png
from tests.gateway.test_bad_input import b64
from tests.gateway.world import World

pytestmark = pytest.mark.anyio


async def pictures(client: openai.AsyncOpenAI, prompt: str, **fields: Any) -> list[str | None]:
    """What comes back, as base64."""
    answer = await client.images.generate(**{"model": "painter", "prompt": prompt, **fields})
    assert answer.data is not None
    return [picture.b64_json for picture in answer.data]


def drawn(*salts: int) -> list[str]:
    return [b64(png(salt=salt))["b64"] for salt in salts]


async def test_a_prompt_sets_knobs(client: openai.AsyncOpenAI) -> None:
    assert await pictures(client, "seed=7") == drawn(7)
    assert await pictures(client, "please signature=generate seed=7 thank you") == drawn(7)
    assert await pictures(client, "", extra_body={"seed": 7}) == drawn(7)


async def test_the_same_words_are_the_same_picture_and_others_another(client: openai.AsyncOpenAI) -> None:
    cat, again, *others = [await pictures(client, words) for words in ("a  cat", "a cat", "a dog", "dog a")]
    assert cat == again
    assert all(other != cat for other in others)


async def test_without_words_each_request_draws_its_own(client: openai.AsyncOpenAI) -> None:
    assert len({tuple(await pictures(client, " ")) for _ in range(6)}) > 1


async def test_several_pictures_have_seeds_that_follow_each_other(client: openai.AsyncOpenAI) -> None:
    assert await pictures(client, "seed=7", n=3) == drawn(7, 8, 9)
    first, second = await pictures(client, "a cat", n=2)
    assert first != second and [first] == await pictures(client, "a cat")


async def test_a_way_to_draw_without_a_seed_draws_what_it_draws(client: openai.AsyncOpenAI) -> None:
    assert await pictures(client, "count=1") == drawn(0, 1, 2)
    assert await pictures(client, "signature=sheet count=1") == drawn(0, 1, 2)
    assert await pictures(client, "total=50", model="sketcher") == drawn(50)  # which comes in slices


@pytest.mark.parametrize(
    ("fields", "status", "rule"),
    [
        ({"model": "nobody"}, 404, "nobody"),
        ({"model": "digits"}, 400, "generate-image"),
        ({"prompt": "seed=x"}, 400, "seed"),
        ({"prompt": "signature=nothing"}, 404, "signature 'nothing'"),
        ({"prompt": "signature=encode"}, 400, "encode"),
        ({"prompt": "colour=red"}, 400, "colour"),
        ({"prompt": "count=1", "n": 2}, 400, "Several pictures differ by their seed"),
        ({"n": 11}, 400, "n: "),
        ({"size": "64x32"}, 400, "size is auto, or the longer side of the picture twice: 256x256. Received: '64x32'"),
        ({"size": f"{'9' * 5000}x{'9' * 5000}"}, 400, "size"),
        ({"prompt": "", "extra_body": {"seed": [1]}}, 400, "seed"),
        ({"prompt": "", "extra_body": {"seed": 1.5}}, 400, "seed"),
        ({"prompt": "", "extra_body": {"seed": True}}, 400, "seed"),
        ({"prompt": "seed=" + "9" * 3000, "n": 2}, 400, "seed"),
        ({"size": "64x64"}, 400, "size"),  # a knob that this model does not have
        ({"response_format": "url"}, 400, "response_format"),
        ({"stream": True}, 400, "stream"),
        ({"prompt": "x" * 4001}, 400, "prompt"),
    ],
)
async def test_what_cannot_be_drawn_is_an_error_of_openais_form(
    client: openai.AsyncOpenAI, fields: dict[str, Any], status: int, rule: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await client.images.generate(**{"model": "painter", "prompt": "seed=1", **fields})
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "invalid_request_error"
    assert rule in caught.value.body["message"]


async def test_a_client_that_goes_away_stops_the_drawing(client: openai.AsyncOpenAI, here: World) -> None:
    async with here.abandoned() as held:
        asking = asyncio.create_task(pictures(client, "total=10000", model="sketcher"))
        await held()
        asking.cancel()
