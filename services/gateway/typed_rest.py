"""The typed REST door, /api/models/...: one path a task. It translates and decides nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request as Http
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from services.core.card import Task
from services.core.errors import InvalidArgument
from services.gateway import answers
from services.gateway.bodies import parse_json, read_bytes, ref_of, seconds_allowed
from services.gateway.columns import number_in, received
from services.gateway.disconnect import while_connected
from services.gateway.events import DONE, EVENTS, EVENTS_HEADERS, event, told_of
from services.gateway.faults import REQUEST_ID_KEY, fault_body
from services.gateway.instances import Instances, Picture
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Payload, Request
from services.gateway.schemas import (
    ClassifyBody,
    GenerateTextBody,
    InstancesBody,
    OneInstanceBody,
    read_body,
)
from services.gateway.text import Chunk, Prompt, write_text

_JSON, _PNG = "application/json", "image/png"


class TypedRest:
    """The endpoints. `body_bytes` bounds what is read, `seconds` is the budget of a request that states none."""

    def __init__(self, plane: DataPlane, body_bytes: int, seconds: float) -> None:
        self._plane = plane
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def classify(self, http: Http) -> Response:
        """Labels with scores."""
        payload, options = await self._payload(http, Task.CLASSIFY, ClassifyBody)
        choice = answers.choice_of(options.top_k, options.threshold)
        answer = await self._predict(http, payload)
        predictions = [
            {name: _head(head) for name, head in one.items()} if isinstance(one, Mapping) else _head(one)
            for one in answers.classifications(answer, choice)
        ]
        return _reply(answer, {"predictions": predictions})

    async def regress(self, http: Http) -> Response:
        """Values in the user's units."""
        payload, _ = await self._payload(http, Task.REGRESS, InstancesBody)
        answer = await self._predict(http, payload)
        units = answers.units(answer)
        outputs = answers.regressions(answer)
        unit = {"unit": next(iter(units.values()), "")} if len(outputs[0]) == 1 else {"units": units}
        return _reply(answer, {"predictions": outputs, **unit})

    async def generate_image(self, http: Http) -> Response:
        """A picture as PNG when the client accepts that, else all pictures as base64 in JSON."""
        answer = await self._predict(http, await self._one(http, Task.GENERATE_IMAGE))
        pictures = answers.pictures(answer)
        return _only(pictures) if _wants_picture(http) else _reply(answer, {"images": _in_json(pictures)})

    async def explain(self, http: Http) -> Response:
        """What in an input speaks for an answer: a picture as PNG when the client accepts that, else all in JSON."""
        answer = await self._predict(http, await self._one(http, Task.EXPLAIN))
        told = answers.explanation(answer)
        if _wants_picture(http):
            return _only(told.images)
        words = [{"word": word, "attribution": weight} for word, weight in told.attributions]
        return _reply(answer, {"images": _in_json(told.images), "attributions": words, "arrays": told.arrays})

    async def generate_text(self, http: Http) -> Response:
        """Text as it is written when the client accepts events, else whole."""
        body = read_body(GenerateTextBody, parse_json(await read_bytes(http, self._body_bytes)))
        stop = (body.stop,) if isinstance(body.stop, str) else body.stop
        read_along = EVENTS in http.headers.get("accept", "")
        prompt = Prompt(body.prompt, body.length, body.model_extra or {}, stop, body.n, read_along)
        chunks = write_text(self._plane, ref_of(http), (prompt,), self._deadline(http))
        if not read_along:
            whole = await while_connected(http, _whole(chunks))
            return Response(orjson.dumps(whole), media_type=_JSON)
        first = await while_connected(http, anext(chunks))  # a request that fails at once gets a status, not an event
        return StreamingResponse(_events(http, first, chunks), media_type=EVENTS, headers=EVENTS_HEADERS)

    async def _predict(self, http: Http, payload: Payload) -> Answer:
        return await self._plane.predict(Request(ref_of(http), payload, self._deadline(http)))

    def _deadline(self, http: Http) -> float:
        return asyncio.get_running_loop().time() + seconds_allowed(http, self._seconds)

    async def _payload(self, http: Http, task: Task, schema: type[Any]) -> tuple[Payload, Any]:
        """JSON, an upload, or a picture as the whole body; for the last two, options stand in the query."""
        body = await read_bytes(http, self._body_bytes)
        kind = http.headers.get("content-type", "")
        if kind.startswith("image/"):
            options = _query_options(http, schema)
            return Picture(task, body, options.signature), options
        if kind.startswith("multipart/form-data"):
            options = _query_options(http, schema)
            return Instances(task, await _uploaded(http, body), options.signature, written=True), options
        options = read_body(schema, parse_json(body))
        return Instances(task, options.rows, options.signature), options

    async def _one(self, http: Http, task: Task) -> Payload:
        """One instance in the same three forms; what is not uploaded of its fields stands in the query."""
        body = await read_bytes(http, self._body_bytes)
        kind = http.headers.get("content-type", "")
        fields = dict(http.query_params)
        signature = fields.pop("signature", "")
        if kind.startswith("image/"):
            return Picture(task, body, signature, fields)
        if kind.startswith("multipart/form-data"):
            rows = await _uploaded(http, body)
            if len(rows) != 1:
                raise InvalidArgument(f"An upload here is one instance. Received: {len(rows)}")
            return Instances(task, [{**fields, **rows[0]}], signature, written=True)
        options = read_body(OneInstanceBody, parse_json(body or b"{}"))
        return Instances(task, [options.row], options.signature)


def _query_options(http: Http, schema: type[Any]) -> Any:
    options: dict[str, Any] = dict(http.query_params)
    numbers = {name: number_in(options[name]) for name in ("top_k", "threshold") if name in options}
    return read_body(schema, {**options, **numbers, "instances": []})


async def _uploaded(http: Http, body: bytes) -> list[Mapping[str, Any]]:
    """Each file part is a value of the field it is named after; several of a name are several instances."""

    async def again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    columns: dict[str, list[Any]] = {}
    try:
        async with Http(http.scope, again).form(max_part_size=len(body) + 1) as form:
            for name, value in form.multi_items():
                columns.setdefault(name, []).append(await value.read() if isinstance(value, UploadFile) else value)
    except MultiPartException as error:
        raise InvalidArgument(f"The body is multipart/form-data. {error.message} Received: {len(body)} bytes") from None
    sizes = {len(values) for values in columns.values()}
    if len(sizes) != 1:
        counts = {name: len(values) for name, values in columns.items()}
        raise InvalidArgument(f"An upload has as many parts of every field. Received: {received(counts)}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _head(head: answers.Head) -> Mapping[str, Any]:
    if isinstance(head, answers.Values):
        return {"values": head.values, "unit": head.unit}
    scores = dict(zip(head.labels, head.scores, strict=True))
    if head.chosen is not None:
        return {"labels": head.chosen, "scores": scores}
    return {"label": head.labels[0], "score": head.scores[0], "scores": scores}


def _wants_picture(http: Http) -> bool:
    return _PNG in http.headers.get("accept", "")


def _only(pictures: Sequence[bytes]) -> Response:
    if len(pictures) != 1:
        raise InvalidArgument(
            f"Accept: image/png is for an answer of one picture; ask for JSON. Received: {len(pictures)} pictures"
        )
    return Response(pictures[0], media_type=_PNG)


def _in_json(pictures: Sequence[bytes]) -> Sequence[Mapping[str, str]]:
    return [{"b64": base64.b64encode(png).decode()} for png in pictures]


def _reply(answer: Answer, fields: Mapping[str, Any]) -> Response:
    document = {"model": answer.servable.name, "version": answer.servable.version, **fields}
    body = orjson.dumps(document, default=lambda value: value.tolist(), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type=_JSON)


async def _whole(chunks: AsyncIterator[Chunk]) -> Mapping[str, Any]:
    texts: dict[int, dict[str, Any]] = {}
    async for chunk in chunks:
        text = texts.setdefault(chunk.index, {"text": ""})
        text["text"] += chunk.text
        text["finish_reason"] = chunk.finish_reason
        if chunk.tokens:
            text.setdefault("logprobs", []).extend(token.document() for token in chunk.tokens)
    first, *others = (text for _, text in sorted(texts.items()))
    alternatives = {"alternatives": others} if others else {}
    return {"model": chunk.servable.name, "version": chunk.servable.version, **first, **alternatives}


async def _events(http: Http, first: Chunk, chunks: Any) -> AsyncIterator[bytes]:
    """Server-sent events. The status has gone out, so a fault from here on is an event of its own."""
    async with aclosing(chunks):
        try:
            yield _event(first)
            async for chunk in chunks:
                yield _event(chunk)
            yield DONE
        except Exception as error:  # the last place where the client can be told
            body = fault_body(*told_of(http, error), http.scope[REQUEST_ID_KEY])
            yield b"event: error\ndata: " + body + b"\n\n"


def _event(chunk: Chunk) -> bytes:
    fields: dict[str, Any] = {"text": chunk.text, **({"index": chunk.index} if chunk.index else {})}
    if chunk.tokens:
        fields["logprobs"] = [token.document() for token in chunk.tokens]
    if chunk.finish_reason:
        fields |= {
            "finish_reason": chunk.finish_reason,
            "model": chunk.servable.name,
            "version": chunk.servable.version,
        }
    return event(fields)
