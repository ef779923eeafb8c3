"""The HTTP application: requests to models by the short way, then pages, then what documents both."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.core.errors import TensorgateError
from services.gateway.faults import OPERATION_KEY, answer_error, answer_http_error
from services.gateway.gate import Gate
from services.gateway.hot_paths import HotPaths
from services.gateway.keyring import Keyring
from services.gateway.operations import Doors, Operation, infer, openai, operations, typed
from services.gateway.pages import Pages
from services.gateway.traced_doors import TracedDoors

if TYPE_CHECKING:
    from services.gateway.spans import Tracing

OPENAPI, DOCS, DOCS_FILES = "/openapi.json", "/docs", "/static-offline-docs/"
_HANDLERS = {TensorgateError: answer_error, Exception: answer_error, HTTPException: answer_http_error}


def create_app(doors: Doors, keyring: Keyring | None, tracing: Tracing | None, *, probes: bool) -> ASGIApp:
    """Everything HTTP; `probes`: those and the metrics, too. With a keyring nobody comes in without a key."""
    every = operations(doors, probes=probes)
    documents = Documents(every, locked=keyring is not None)
    pages = Starlette(routes=[*map(_route, every), *documents.routes()], exception_handlers=_HANDLERS)
    asked = {_words(one.path): one.endpoint for one in (*typed(doors.typed), *infer(doors.open_inference))}
    hot = HotPaths(asked, {(one.method, one.path): one.endpoint for one in openai(doors)}, doors.tfs.answer, pages)
    told = hot if tracing is None else TracedDoors(hot, tracing)
    return told if keyring is None else Gate(told, hot.find, keyring)


def operations_app(pages: Pages) -> ASGIApp:
    """Probes and metrics alone, for a port of their own: no keys, nothing counted."""
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in pages.operations.items()])


def _words(path: str) -> tuple[str, str]:
    """The first and the last."""
    return path.split("/")[1], path.rpartition("/")[2]


def _route(operation: Operation) -> BaseRoute:
    """The endpoint, with nothing around it but a note of what was asked."""
    noted = (operation.tag, operation.endpoint.__name__)

    async def answer(request: Request) -> Response:
        request.scope[OPERATION_KEY] = noted
        return await operation.endpoint(request)

    return Route(operation.path, answer, methods=[operation.method])


class Documents:
    """The OpenAPI page and its files, made when somebody looks: FastAPI takes a fifth of the gateway's memory."""

    def __init__(self, every: Sequence[Operation], *, locked: bool) -> None:
        self._every = every
        self._locked = locked
        self._made: asyncio.Task[ASGIApp] | None = None

    def routes(self) -> Sequence[BaseRoute]:
        """Where it is."""
        return [Route(path, self) for path in (OPENAPI, DOCS, f"{DOCS_FILES}{{file:path}}")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Show it."""
        if self._made is None:
            self._made = asyncio.create_task(asyncio.to_thread(self._make))
        app = await asyncio.shield(self._made)  # it is for all: who leaves does not end it
        await app(scope, receive, send)

    def _make(self) -> ASGIApp:
        from services.gateway.documentation import document

        return document(self._every, locked=self._locked)
