"""OpenAI's door for pictures, /v1/images/generations (openai-openapi 2026-08).

The models here draw from numbers and read no words. So a word of the form name=value in a prompt is a knob of the
model, `signature=sheet` says which of its ways to draw is meant, and what is left of the prompt is a seed by another
name: the same words, the same picture. Without any, each request draws a seed of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request as Http
from starlette.responses import Response

from services.core.card import Task
from services.core.errors import InvalidArgument, received
from services.core.refs import ModelRef, parse_ref
from services.gateway import answers
from services.gateway.bodies import parse_json, read_bytes, seconds_allowed
from services.gateway.drawing import draw, drawn
from services.gateway.instances import Instances, fitting, signatures_of
from services.gateway.openai_rest import Chance
from services.gateway.openai_schemas import ImagesBody
from services.gateway.plane import DataPlane
from services.gateway.request import Request, Tensors
from services.gateway.routing_table import Servable
from services.gateway.schemas import read_body

_SIGNATURE, _SEED, _SIZE, _ANY_SIZE = "signature", "seed", "size", "auto"
_SEED_BYTES = 8
_WHOLE = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Wish:
    """Picture number `index` of a prompt, from 0: its payload. Its seed is the prompt's plus the index."""

    knobs: Mapping[str, Any]
    seed: int
    index: int = 0

    def tensors(self, servable: Servable) -> Tensors:
        """One row for the signature that takes the knobs, with a seed if it takes one, or is named among them."""
        knobs = dict(self.knobs)
        named = str(knobs.pop(_SIGNATURE, ""))
        seeded = {_SEED: self.seed, **knobs}
        candidates = signatures_of(servable.card, Task.GENERATE_IMAGE)
        meant = {name: one for name, one in candidates.items() if named in ("", name)}
        chosen = fitting(meant, seeded.keys())
        if chosen is None and self.index:
            raise InvalidArgument(
                f"Several pictures differ by their seed, and model {servable.name} takes none with these knobs. "
                f"Received: n {self.index + 1}, {received(dict(self.knobs))}"
            )
        row = knobs if chosen is None else {**seeded, _SEED: _counted(seeded[_SEED], self.index)}
        return Instances(Task.GENERATE_IMAGE, [row], chosen or named, written=True).tensors(servable)


class OpenAiImages:
    """The endpoint. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(self, plane: DataPlane, chance: Chance, *, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._chance = chance
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def generations(self, http: Http) -> Response:
        """Pictures as base64."""
        body = read_body(ImagesBody, parse_json(await read_bytes(http, self._body_bytes)))
        ref = parse_ref(body.model)
        http.scope["path_params"] = {"model": ref.name}  # by which the request is counted
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        wish = wish_of(body, self._chance.seed)
        wishes = [Wish(wish.knobs, wish.seed, index) for index in range(body.n)]
        pictures = await self._draw(ref, wishes, deadline)
        data = [{"b64_json": base64.b64encode(png).decode()} for png in pictures]
        document = {"created": int(self._chance.clock()), "output_format": "png", "data": data}
        return Response(orjson.dumps(document), media_type="application/json")

    async def _draw(self, ref: ModelRef, wishes: Sequence[Wish], deadline: float) -> Sequence[bytes]:
        """Side by side, so that they share calls."""
        drawings = (drawn(draw(self._plane, Request(ref, wish, deadline))) for wish in wishes)
        pictures: list[bytes] = []
        for came in await asyncio.gather(*drawings, return_exceptions=True):
            if isinstance(came, BaseException):
                raise came
            pictures += answers.pictures(came.answer)
        return pictures


def wish_of(body: ImagesBody, seed: Callable[[], int]) -> Wish:
    """What the prompt, and the fields beside it, ask for."""
    knobs: dict[str, Any] = {}
    words: list[str] = []
    for word in body.prompt.split():
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            knobs[name] = value
        else:
            words.append(word)
    if body.size != _ANY_SIZE:
        knobs[_SIZE] = _side(body.size)
    digest = hashlib.sha256(" ".join(words).encode()).digest()
    return Wish({**knobs, **(body.model_extra or {})}, int.from_bytes(digest[:_SEED_BYTES]) >> 1 if words else seed())


def _side(size: str) -> int:
    width, by, height = size.partition("x")
    if not (by and width == height and width.isascii() and width.isdigit()):
        raise InvalidArgument(
            f"size is auto, or the longer side of the picture twice: 256x256. Received: {received(size)}"
        )
    return int(width)


def _counted(seed: Any, index: int) -> Any:
    """A seed that is no whole number is refused by the card."""
    whole = (isinstance(seed, int) and not isinstance(seed, bool)) or (
        isinstance(seed, str) and _WHOLE.fullmatch(seed) is not None
    )
    return int(seed) + index if whole else seed
