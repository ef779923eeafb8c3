"""Reads what a typed request asks: JSON, an upload, or a picture as the whole body with its options in the query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request as Http
from starlette.types import Message

from services.core.card import Task
from services.core.errors import InvalidArgument, received
from services.gateway.bodies import header, parse_json, read_by
from services.gateway.buffers import read_with_arrays
from services.gateway.columns import number_in
from services.gateway.instances import Instances, Picture
from services.gateway.request import Payload
from services.gateway.schemas import read_body

_LONG = 512  # bytes of a body in which numbers are worth a parser of their own
_SWITCHES = {"true": True, "false": False}


async def several_asked(http: Http, body: bytes, task: Task, schema: type[Any]) -> tuple[Payload, Any]:
    """Instances, and the options beside them as `schema` reads them."""
    kind = header(http, b"content-type") or ""
    if kind.startswith("image/"):
        options = _query_options(http, schema)
        return Picture(task, body, options.signature), options
    if kind.startswith("multipart/form-data"):
        options = _query_options(http, schema)
        return Instances(task, await _uploaded(http, body), options.signature, written=True), options
    return await read_by(read_instances, len(body), body, task, schema)


def read_instances(body: bytes, task: Task, schema: type[Any]) -> tuple[Payload, Any]:
    """The same of a body in JSON."""
    document = read_with_arrays(body) if len(body) >= _LONG else None
    options = read_body(schema, parse_json(body) if document is None else document)
    return Instances(task, options.rows, options.signature), options


async def one_asked(http: Http, body: bytes, task: Task, schema: type[Any]) -> tuple[Payload, Any]:
    """One instance in the same three forms; what is not uploaded of its fields stands in the query."""
    kind = header(http, b"content-type") or ""
    if not kind.startswith(("image/", "multipart/form-data")):
        options = read_body(schema, parse_json(body or b"{}"))
        return Instances(task, [options.row], options.signature), options
    written = dict(http.query_params)
    named = {name: written.pop(name) for name in schema.model_fields if name in written}
    options = read_body(schema, {name: _SWITCHES.get(value, value) for name, value in named.items()})
    if kind.startswith("image/"):
        return Picture(task, body, options.signature, written), options
    rows = await _uploaded(http, body)
    if len(rows) != 1:
        raise InvalidArgument(f"An upload here is one instance. Received: {len(rows)}")
    return Instances(task, [{**written, **rows[0]}], options.signature, written=True), options


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
