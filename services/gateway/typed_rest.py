"""The typed REST door, /api/models/...: one path a task. It translates and decides nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request as Http
from starlette.responses import Response, StreamingResponse

from services.core.card import Task
from services.core.errors import DeadlineExceeded, InvalidArgument
from services.gateway import answers
from services.gateway.animation import animated
from services.gateway.bodies import LARGE, header, parse_json, read_bytes, ref_of, seconds_allowed
from services.gateway.drawing import Drawing, draw, drawn
from services.gateway.events import DONE, EVENTS, EVENTS_HEADERS, event, in_json, told_of
from services.gateway.faults import REQUEST_ID_KEY, fault_body
from services.gateway.plane import DataPlane
from services.gateway.replies import JsonReply
from services.gateway.request import Answer, Payload, Request
from services.gateway.schemas import (
    ClassifyBody,
    ExplainBody,
    GenerateImageBody,
    GenerateTextBody,
    InstancesBody,
    read_body,
)
from services.gateway.text import Chunk, Prompt, write_text
from services.gateway.typed_bodies import one_asked, several_asked

_PNG, _GIF = "image/png", "image/gif"
_PROGRESS_HEADER = "X-Progress"  # of a picture that was not finished in time

T = TypeVar("T")


class TypedRest:
    """The endpoints. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(self, plane: DataPlane, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._body_bytes = body_bytes
        self._seconds = seconds
        self._animator = ThreadPoolExecutor(1, "animator")

    async def classify(self, http: Http) -> Response:
        """Labels with scores."""
        body = await self._read(http)
        payload, options = await several_asked(http, body, Task.CLASSIFY, ClassifyBody)
        choice = answers.choice_of(options.top_k, options.threshold)
        answer = await self._predict(http, payload, len(body))
        predictions = [
            {name: _head(head) for name, head in one.items()} if isinstance(one, Mapping) else _head(one)
            for one in answers.classifications(answer, choice)
        ]
        return _reply(answer, {"predictions": predictions})

    async def regress(self, http: Http) -> Response:
        """Values in the user's units."""
        body = await self._read(http)
        payload, _ = await several_asked(http, body, Task.REGRESS, InstancesBody)
        answer = await self._predict(http, payload, len(body))
        units = answers.units(answer)
        outputs = answers.regressions(answer)
        unit = {"unit": next(iter(units.values()), "")} if len(outputs[0]) == 1 else {"units": units}
        return _reply(answer, {"predictions": outputs, **unit})

    async def generate_image(self, http: Http) -> Response:
        """A picture as PNG, or pictures as GIF, to who accepts that; as it grows, as events; else all in JSON."""
        payload, options = await one_asked(http, await self._read(http), Task.GENERATE_IMAGE, GenerateImageBody)
        request = Request(ref_of(http), payload, self._deadline(http))
        drawings = draw(self._plane, request, partial_ok=options.partial_ok)
        if _wants(http, EVENTS):
            return await self._stream(http, drawings, _drawing_event)
        drawing = await drawn(drawings)
        if _wants(http, _GIF):
            gif = await self._animated(answers.pictures(drawing.answer), request.deadline)
            return _picture(gif, _GIF, drawing.progress)
        if _wants(http, _PNG):
            return _picture(_only(answers.pictures(drawing.answer)), _PNG, drawing.progress)
        return _json(_drawing(drawing))

    async def explain(self, http: Http) -> Response:
        """What in an input speaks for an answer: a picture as PNG when the client accepts that, else all in JSON."""
        body = await self._read(http)
        payload, _ = await one_asked(http, body, Task.EXPLAIN, ExplainBody)
        answer = await self._predict(http, payload, len(body))
        told = answers.explanation(answer)
        if _wants(http, _PNG):
            return _picture(_only(told.images), _PNG)
        words = [{"word": word, "attribution": weight} for word, weight in told.attributions]
        return _reply(answer, {"images": _in_json(told.images), "attributions": words, "arrays": told.arrays})

    async def generate_text(self, http: Http) -> Response:
        """Text as it is written when the client accepts events, else whole."""
        body = read_body(GenerateTextBody, parse_json(await self._read(http)))
        stop = (body.stop,) if isinstance(body.stop, str) else body.stop
        read_along = _wants(http, EVENTS)
        prompt = Prompt(body.prompt, body.length, body.model_extra or {}, stop, body.n, read_along)
        chunks = write_text(self._plane, ref_of(http), (prompt,), self._deadline(http))
        if read_along:
            return await self._stream(http, chunks, _chunk_event)
        return _json(await _whole(chunks))

    async def _stream(self, http: Http, pieces: AsyncGenerator[T, None], told: Callable[[T], Any]) -> Response:
        first = await anext(pieces)  # a request that fails at once gets a status, not an event
        return StreamingResponse(_events(http, first, pieces, told), media_type=EVENTS, headers=EVENTS_HEADERS)

    async def _read(self, http: Http) -> bytes:
        return await read_bytes(http, self._body_bytes)

    async def _animated(self, pictures: Sequence[bytes], deadline: float) -> bytes:
        """One at a time, because each takes a processor and memory for seconds."""
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._animator, animated, pictures)
        except TimeoutError:
            raise DeadlineExceeded("The animation was not ready within the request's time budget.") from None

    async def _predict(self, http: Http, payload: Payload, size: int) -> Answer:
        return await self._plane.predict(Request(ref_of(http), payload, self._deadline(http), size > LARGE))

    def _deadline(self, http: Http) -> float:
        return asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)


def _head(head: answers.Head) -> Mapping[str, Any]:
    if isinstance(head, answers.Values):
        return {"values": head.values, "unit": head.unit}
    scores = dict(zip(head.labels, head.scores, strict=True))
    if head.chosen is not None:
        return {"labels": head.chosen, "scores": scores}
    return {"label": head.labels[0], "score": head.scores[0], "scores": scores}


def _wants(http: Http, media_type: str) -> bool:
    return media_type in (header(http, b"accept") or "")


def _only(pictures: Sequence[bytes]) -> bytes:
    if len(pictures) != 1:
        raise InvalidArgument(
            "Accept: image/png is for an answer of one picture; ask for image/gif, if it is drawn, or JSON. "
            f"Received: {len(pictures)} pictures"
        )
    return pictures[0]


def _picture(data: bytes, media_type: str, progress: float = 1.0) -> Response:
    headers = {_PROGRESS_HEADER: f"{progress:.4f}"} if progress < 1 else None
    return Response(data, media_type=media_type, headers=headers)


def _in_json(pictures: Sequence[bytes]) -> Sequence[Mapping[str, str]]:
    return [{"b64": base64.b64encode(png).decode()} for png in pictures]


def _drawing(drawing: Drawing) -> Mapping[str, Any]:
    answer = drawing.answer
    return {
        "model": answer.servable.name,
        "version": answer.servable.version,
        "images": _in_json(answers.pictures(answer)),
        "figures": answers.figures(answer),
        **({"partial": True} if drawing.partial else {}),
    }


def _drawing_event(drawing: Drawing) -> Mapping[str, Any]:
    return {"progress": drawing.progress, **_drawing(drawing)}


def _reply(answer: Answer, fields: Mapping[str, Any]) -> Response:
    return _json({"model": answer.servable.name, "version": answer.servable.version, **fields})


def _json(document: Mapping[str, Any]) -> Response:
    return JsonReply(in_json(document))


async def _whole(chunks: AsyncIterator[Chunk]) -> Mapping[str, Any]:
    texts: dict[int, dict[str, Any]] = {}
    async for chunk in chunks:
        text = texts.setdefault(chunk.index, {"text": ""})
        text["text"] += chunk.text
        text["finish_reason"] = chunk.finish_reason
        if chunk.unknown:
            text["unknown"] = chunk.unknown
        if chunk.tokens:
            text.setdefault("logprobs", []).extend(token.document() for token in chunk.tokens)
    first, *others = (text for _, text in sorted(texts.items()))
    for other in others:
        other.pop("unknown", None)  # all go on from one prompt
    alternatives = {"alternatives": others} if others else {}
    return {"model": chunk.servable.name, "version": chunk.servable.version, **first, **alternatives}


async def _events(http: Http, first: T, pieces: Any, told: Callable[[T], Any]) -> AsyncIterator[bytes]:
    """Server-sent events. The status has gone out, so a fault from here on is an event of its own."""
    async with aclosing(pieces):
        try:
            yield event(told(first))
            async for piece in pieces:
                yield event(told(piece))
            yield DONE
        except Exception as error:  # the last place where the client can be told
            body = fault_body(*told_of(http, error), http.scope[REQUEST_ID_KEY])
            yield b"event: error\ndata: " + body + b"\n\n"


def _chunk_event(chunk: Chunk) -> Mapping[str, Any]:
    fields: dict[str, Any] = {"text": chunk.text, **({"index": chunk.index} if chunk.index else {})}
    if chunk.unknown:
        fields["unknown"] = chunk.unknown
    if chunk.tokens:
        fields["logprobs"] = [token.document() for token in chunk.tokens]
    if chunk.finish_reason:
        fields |= {
            "finish_reason": chunk.finish_reason,
            "model": chunk.servable.name,
            "version": chunk.servable.version,
        }
    return fields
