"""The OpenAPI page: FastAPI documents every operation and serves the page, and calls none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.responses import JSONResponse, PlainTextResponse

from services.gateway.operations import TAGS, Operation


def document(operations: Sequence[Operation], *, locked: bool) -> FastAPI:
    """`locked`: the page has a place to write a key."""
    app = FastAPIOffline(
        title="Tensorgate",
        summary="Every published model over REST; the same over gRPC as tensorgate.v1.Inference.",
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        redoc_url=None,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if locked else None,
    )
    for one in operations:
        responses: dict[int | str, dict[str, Any]] = {"default": {"model": one.fault}}
        if one.reply is not None:
            responses[200] = {"model": one.reply, "content": {media: {} for media in one.gives}}
        app.add_api_route(
            one.path,
            one.endpoint,
            methods=[one.method],
            tags=[one.tag],
            response_class=JSONResponse if one.in_json else PlainTextResponse,
            responses=responses,
            openapi_extra={**_body(one), "parameters": _parameters(one.path)},
        )
    return app


def _body(operation: Operation) -> dict[str, Any]:
    if operation.body is None:
        return {}
    content: dict[str, Any] = {"application/json": {"schema": operation.body.model_json_schema()}}
    content |= {media: {"schema": {"type": "string", "format": "binary"}} for media in operation.takes}
    return {"requestBody": {"required": operation.body_required, "content": content}}


def _parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:].partition("}")[0] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
