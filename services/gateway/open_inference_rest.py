"""Open Inference's door, /v2/models/...: `generate` and `generate_stream` (KServe's generate_rest.yaml, Triton's
generate extension).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from starlette.requests import Request as Http
from starlette.responses import Response, StreamingResponse

from services.gateway.bodies import parse_json, read_bytes, ref_of, seconds_allowed
from services.gateway.events import EVENTS, EVENTS_HEADERS, event, told_of
from services.gateway.faults import open_inference_fault
from services.gateway.open_inference_schemas import GenerateBody, GenerateParameters
from services.gateway.plane import DataPlane
from services.gateway.schemas import read_body
from services.gateway.text import Chunk, Prompt, write_text


class OpenInferenceRest:
    """The endpoints. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(self, plane: DataPlane, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def generate(self, http: Http) -> Response:
        """A text, whole."""
        body = await self._read(http)
        whole = await _whole(body, self._written(http, body, read_along=False))
        return Response(orjson.dumps(whole), media_type="application/json")

    async def generate_stream(self, http: Http) -> Response:
        """A text as it is written."""
        body = await self._read(http)
        chunks = self._written(http, body, read_along=True)
        first = await anext(chunks)  # a request that fails at once gets a status, not an event
        return StreamingResponse(_events(http, body, first, chunks), media_type=EVENTS, headers=EVENTS_HEADERS)

    async def _read(self, http: Http) -> GenerateBody:
        return read_body(GenerateBody, parse_json(await read_bytes(http, self._body_bytes)))

    def _written(self, http: Http, body: GenerateBody, *, read_along: bool) -> AsyncGenerator[Chunk, None]:
        asked = read_body(GenerateParameters, body.knobs)
        stop = (asked.stop,) if isinstance(asked.stop, str) else asked.stop
        prompt = Prompt(body.text_input, asked.max_tokens, asked.model_extra or {}, stop, read_along=read_along)
        deadline = asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)
        return write_text(self._plane, ref_of(http), (prompt,), deadline)


def _reply(body: GenerateBody, chunk: Chunk, text: str) -> Mapping[str, Any]:
    return {
        **({"id": body.id} if body.id else {}),
        "model_name": chunk.servable.name,
        "model_version": str(chunk.servable.version),
        "text_output": text,
    }


async def _whole(body: GenerateBody, chunks: AsyncIterator[Chunk]) -> Mapping[str, Any]:
    written = [chunk async for chunk in chunks]
    return _reply(body, written[-1], "".join(chunk.text for chunk in written))


async def _events(http: Http, body: GenerateBody, first: Chunk, chunks: Any) -> AsyncIterator[bytes]:
    async with aclosing(chunks):
        try:
            yield event(_reply(body, first, first.text))
            async for chunk in chunks:
                yield event(_reply(body, chunk, chunk.text))
        except Exception as error:  # the last place where the client can be told
            yield b"data: " + open_inference_fault(told_of(http, error)[1]) + b"\n\n"
