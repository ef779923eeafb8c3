"""A picture that takes long is drawn slice by slice: watched, cut short, given up, and never in anybody's way."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import grpc
import pytest

from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.models import png
from tests.gateway.test_bad_input import b64
from tests.gateway.test_text import EVENTS, read_events
from tests.gateway.world import World, eventually

pytestmark = pytest.mark.anyio

PATH = "/api/models/sketcher/generate-image"


@pytest.fixture
def slow(here: World) -> Any:
    """Every call takes 0.15 s, so that slices stay as short as they are."""
    here.server.pause = lambda: asyncio.sleep(0.15)
    yield here
    here.server.pause = lambda: asyncio.sleep(0)


def asked(total: int, *, partial_ok: bool = False) -> Any:
    """The same over gRPC."""
    request = pb.GenerateImageRequest(model=pb.Model(name="sketcher"), partial_ok=partial_ok)
    request.instance.inputs["total"].number = total
    return request


async def test_the_whole_picture_is_answered_with_its_figures_however_it_was_drawn(here: World) -> None:
    whole = (await here.rest.post(PATH, json={"total": 40})).json()
    assert whole == {"model": "sketcher", "version": 1, "images": [b64(png(salt=40))], "figures": {"strokes": 40.0}}
    first, *others = [signature for _, _, signature, _ in here.server.calls]
    assert first == "start" and set(others) == {"continue"}
    assert len(others) < 39  # slices grow
    drawn = await here.rest.post(PATH, json={"total": 40, "signature": "generate"}, headers={"Accept": "image/png"})
    assert drawn.content == png(salt=40) and "x-progress" not in drawn.headers
    reply = await here.inference.GenerateImage(asked(40))
    assert (list(reply.images), reply.progress, reply.figures["strokes"].values) == ([png(salt=40)], 1, [40])


async def test_a_picture_is_watched_as_it_grows(here: World) -> None:
    response = await here.rest.post(PATH, json={"total": 40}, headers=EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done = read_events(response.text)
    assert done == "[DONE]"
    strokes = [int(event["figures"]["strokes"]) for event in events]
    assert strokes[0] == 1 and strokes[-1] == 40 and strokes == sorted(set(strokes))
    assert [event["progress"] for event in events] == pytest.approx([count / 40 for count in strokes])
    assert [event["images"] for event in events] == [[b64(png(salt=count))] for count in strokes]
    pieces = [piece async for piece in here.inference.WatchImage(asked(40))]
    assert [piece.images[0] for piece in pieces] == [
        png(salt=int(piece.figures["strokes"].values[0])) for piece in pieces
    ]
    assert pieces[-1].progress == 1 and len(pieces) > 2


async def test_a_picture_drawn_in_one_call_is_one_event(here: World) -> None:
    response = await here.rest.post("/api/models/painter/generate-image", json={"seed": 3}, headers=EVENTS)
    assert [event["progress"] for event in read_events(response.text)[:-1]] == [1]


async def test_a_short_picture_overtakes_a_long_one(slow: World) -> None:
    long = asyncio.ensure_future(slow.rest.post(PATH, json={"total": 20}))
    await eventually(lambda: slow.has_called(3))
    assert (await slow.rest.post(PATH, json={"total": 2})).json()["images"] == [b64(png(salt=2))]
    assert not long.done()
    assert (await long).json()["images"] == [b64(png(salt=20))]


async def test_pictures_of_different_callers_share_calls(slow: World) -> None:
    totals = range(40, 48)
    answers = await asyncio.gather(*(slow.rest.post(PATH, json={"total": total}) for total in totals))
    assert [answer.json()["images"] for answer in answers] == [[b64(png(salt=total))] for total in totals]
    assert max(rows for *_, rows in slow.server.calls) > 1


@pytest.mark.parametrize("form", ["json", "query"])
async def test_when_the_time_is_up_the_picture_so_far_is_answered_if_that_is_asked_for(slow: World, form: str) -> None:
    timely = {"X-Request-Timeout-Seconds": "1"}
    late = await slow.rest.post(PATH, json={"total": 10_000}, headers=timely)
    assert (late.status_code, late.json()["error"]["code"]) == (504, "DEADLINE_EXCEEDED")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await slow.inference.GenerateImage(asked(10_000), timeout=1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    if form == "json":
        some = (await slow.rest.post(PATH, json={"total": 10_000, "partial_ok": True}, headers=timely)).json()
        assert some["partial"] and 0 < some["figures"]["strokes"] < 10_000
        assert base64.b64decode(some["images"][0]["b64"]) == png(salt=int(some["figures"]["strokes"]))
        events = await slow.rest.post(PATH, json={"total": 10_000, "partial_ok": True}, headers={**EVENTS, **timely})
        assert "event: error" not in events.text and read_events(events.text)[-2]["partial"]
        reply = await slow.inference.GenerateImage(asked(10_000, partial_ok=True), timeout=2)
        assert 0 < reply.progress < 1
    else:
        accept = {**timely, "Accept": "image/png"}
        upload = {"total": b"10000"}
        picture = await slow.rest.post(PATH, headers=accept, files=upload, params={"partial_ok": "true"})
        assert picture.status_code == 200 and 0 < float(picture.headers["x-progress"]) < 1


@pytest.mark.parametrize(("path", "status"), [(PATH, 503), (PATH.replace("sketcher", "sketcher/versions/1"), 404)])
async def test_a_fault_is_no_reason_for_half_a_picture(here: World, path: str, status: int) -> None:
    async def unload() -> None:
        if len(here.server.calls) == 2:
            del here.server.loaded["sketcher"]

    model = here.server.loaded["sketcher"]
    here.server.pause = unload
    try:
        torn = await here.rest.post(path, json={"total": 40, "partial_ok": True})
    finally:
        here.server.pause = lambda: asyncio.sleep(0)
        here.server.loaded["sketcher"] = model
    assert torn.status_code == status

    async def is_live() -> bool:
        return bool((await here.callable_versions())["sketcher"])

    await eventually(is_live)


async def test_a_client_that_goes_away_stops_the_drawing(here: World) -> None:
    body = {"total": 10_000}
    async with here.abandoned() as held, here.rest.stream("POST", PATH, json=body, headers=EVENTS) as response:
        lines = response.aiter_lines()  # dropped, it would close the response
        await anext(lines)
        await held()
    async with here.abandoned() as held:
        asking = asyncio.create_task(here.rest.post(PATH, json=body))
        await held()
        asking.cancel()
    async with here.abandoned() as held:
        call = here.inference.WatchImage(asked(10_000))
        await call.read()
        await held()
        call.cancel()


@pytest.mark.parametrize("value", ["maybe", ""])
async def test_partial_ok_is_true_or_false(here: World, value: str) -> None:
    refused = await here.rest.post(PATH, files={"total": b"3"}, params={"partial_ok": value})
    assert refused.status_code == 400
    assert "partial_ok" in refused.json()["error"]["message"] and f"'{value}'" in refused.json()["error"]["message"]
