"""Pictures are drawn from numbers or on a picture, asked for in every form that the door takes."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image, ImageSequence

from tests.gateway.models import png
from tests.gateway.test_bad_input import b64
from tests.gateway.world import World

pytestmark = pytest.mark.anyio

PATH = "/api/models/painter/generate-image"
IMAGE = {"content-type": "image/png"}


async def test_a_picture_to_draw_on_comes_in_json_as_an_upload_or_as_the_body(here: World) -> None:
    asked = [
        await here.rest.post(PATH, json={"image_bytes": b64(png()), "steps": 3}),
        await here.rest.post(PATH, json={"instance": {"image_bytes": b64(png()), "steps": 3}, "signature": "edit"}),
        await here.rest.post(f"{PATH}?steps=3", content=png(), headers=IMAGE),
        await here.rest.post(PATH, files={"image_bytes": png()}, data={"steps": "3"}),
    ]
    assert [answer.json()["images"] for answer in asked] == [[b64(png(salt=3))]] * len(asked)
    drawn = await here.rest.post(PATH, content=png(), headers={**IMAGE, "Accept": "image/png"})
    assert (drawn.headers["content-type"], drawn.content) == ("image/png", png(salt=1))


async def test_without_a_body_the_first_signature_tells_what_it_needs(here: World) -> None:
    answer = await here.rest.post(PATH)
    assert answer.status_code == 400
    assert "seed" in answer.json()["error"]["message"]


async def test_several_pictures_come_as_a_gif_to_who_accepts_that(here: World) -> None:
    asked = {"count": 3, "signature": "sheet"}
    answer = await here.rest.post(PATH, json=asked, headers={"Accept": "image/gif"})
    assert answer.headers["content-type"] == "image/gif"
    with Image.open(BytesIO(answer.content)) as gif:
        levels = [frame.convert("L").getpixel((0, 0)) for frame in ImageSequence.Iterator(gif)]
    assert levels == [0, 1, 2]
    single = await here.rest.post(PATH, json={"seed": 7}, headers={"Accept": "image/gif"})
    with Image.open(BytesIO(single.content)) as gif:
        assert (gif.format, gif.convert("L").getpixel((0, 0))) == ("GIF", 7)
    refused = await here.rest.post(PATH, json=asked, headers={"Accept": "image/png"})
    assert (refused.status_code, "3 pictures" in refused.text, "image/gif" in refused.text) == (400, True, True)
