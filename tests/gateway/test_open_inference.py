"""Open Inference's door: `generate` and `generate_stream`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.models import letters
from tests.gateway.test_text import read_events
from tests.gateway.world import World

pytestmark = pytest.mark.anyio

PATH = "/v2/models/writer/generate"
ASKED: dict[str, Any] = {"text_input": "soul", "parameters": {"max_tokens": 50, "seed": 3}}


@pytest.mark.parametrize("path", [PATH, "/v2/models/writer/versions/1/generate"])
async def test_a_text_is_what_the_typed_door_writes(here: World, path: str) -> None:
    wanted = {"model_name": "writer", "model_version": "1", "text_output": letters(3, 4, 50)}
    assert (await here.rest.post(path, json=ASKED)).json() == wanted
    assert (await here.rest.post(path, json={**ASKED, "id": "a7"})).json() == {"id": "a7", **wanted}
    streamed = await here.rest.post(f"{path}_stream", json=ASKED)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = read_events(streamed.text)
    assert len(events) > 1
    assert "".join(event["text_output"] for event in events) == wanted["text_output"]
    assert all(event == {**wanted, "text_output": event["text_output"]} for event in events)


async def test_parameters_may_stand_beside_the_text(here: World) -> None:
    knobs = {"max_tokens": 50, "seed": 3, "stop": [letters(3, 4, 12)[10:]]}
    for body in (knobs, {"parameters": knobs}, {"parameters": {"seed": 3}, "max_tokens": 10}):
        answer = await here.rest.post(PATH, json={"text_input": "soul", **body})
        assert answer.json()["text_output"] == letters(3, 4, 10)


@pytest.mark.parametrize(
    ("path", "body", "status", "rule"),
    [
        (PATH, {"parameters": {}}, 400, "text_input"),
        (PATH, {"text_input": 3}, 400, "text_input"),
        (PATH, {**ASKED, "seed": 4}, 400, "in `parameters` or beside it, not both. Received: ['seed']"),
        (PATH, {"text_input": "", "max_tokens": "9"}, 400, "max_tokens"),
        (PATH, {"text_input": "", "max_tokens": 0}, 400, "length is 1 to 100000 tokens. Received: 0"),
        (PATH, {"text_input": "", "n": 2}, 400, "n"),
        (PATH, {"text_input": "", "temperature": "hot"}, 400, "temperature"),
        ("/v2/models/nobody/generate", ASKED, 404, "nobody"),
        ("/v2/models/digits/generate", ASKED, 400, "generate-text"),
        ("/v2/models/writer/versions/9/generate", ASKED, 404, "9"),
    ],
)
@pytest.mark.parametrize("stream", ["", "_stream"])
async def test_what_cannot_be_written_is_an_error_of_open_inferences_form(
    here: World, path: str, body: Any, status: int, rule: str, stream: str
) -> None:
    answer = await here.rest.post(path + stream, json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert rule in answer.json()["error"]


async def test_a_fault_after_the_first_word_is_an_event(here: World) -> None:
    pause = here.server.pause

    async def break_down() -> None:
        if len(here.server.calls) == 2:
            raise RuntimeError("broken")

    here.server.calls.clear()
    here.server.pause = break_down
    try:
        torn = await here.rest.post(f"{PATH}_stream", json={"text_input": "soul", "max_tokens": 200, "seed": 3})
    finally:
        here.server.pause = pause
    *told, last = read_events(torn.text)
    assert torn.status_code == 200 and told
    assert list(last) == ["error"] and "broken" not in last["error"]


async def test_a_client_that_goes_away_stops_the_writing(here: World) -> None:
    body = {"text_input": "", "max_tokens": 900}
    async with here.abandoned() as held, here.rest.stream("POST", f"{PATH}_stream", json=body) as response:
        lines = response.aiter_lines()  # dropped, it would close the response
        await anext(lines)
        await held()


async def test_the_page_of_the_api_has_it(here: World) -> None:
    paths = (await here.rest.get("/openapi.json")).json()["paths"]
    for path in ("/v2/models/{model}/generate", "/v2/models/{model}/versions/{version}/generate_stream"):
        assert paths[path]["post"]["tags"] == ["open_inference"]
