"""Bodies that come packed."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.gateway.models import png
from tests.gateway.world import World, world

pytestmark = pytest.mark.anyio

BODY = json.dumps({"instances": [1.0, 3.0]}).encode()
PACKED = {"Content-Encoding": "gzip"}


async def test_every_door_unpacks(here: World) -> None:
    tfs = await here.rest.post("/v1/models/affine:predict", content=gzip.compress(BODY), headers=PACKED)
    assert tfs.json() == {"predictions": [2.5, 3.5]}
    halves = gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])  # a file may have several members
    tfs = await here.rest.post("/v1/models/affine:predict", content=halves, headers=PACKED)
    assert tfs.json() == {"predictions": [2.5, 3.5]}
    picture = {**PACKED, "Content-Type": "image/png"}
    typed = await here.rest.post("/api/models/digits/classify", content=gzip.compress(png()), headers=picture)
    assert typed.status_code == 200


@pytest.mark.parametrize(
    ("body", "encoding", "rule"),
    [
        (BODY, "gzip", "The body is gzip, as Content-Encoding says"),
        (gzip.compress(BODY, mtime=0)[:-9], "gzip", "The body is gzip, whole. Received: "),
        (BODY, "br", "Content-Encoding is gzip, or none. Received: 'br'"),
    ],
    ids=("not packed", "cut short", "otherwise"),
)
async def test_what_is_not_packed_as_it_says_is_refused(here: World, body: bytes, encoding: str, rule: str) -> None:
    answer = await here.rest.post("/api/models/affine/regress", content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == 400
    assert rule in answer.json()["error"]["message"]


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused_before_it_has() -> None:
    async with world(body_bytes=10_000) as small:
        bomb = gzip.compress(b"0" * 50_000_000)
        assert len(bomb) > 10_000
        for content in (bomb, gzip.compress(b"0" * 1_000_000)):
            answer = await small.rest.post("/api/models/affine/regress", content=content, headers=PACKED)
            assert answer.status_code == 429
            assert "A body has at most 10000 bytes" in answer.json()["error"]["message"]
