"""The paths that ask a model something, answered before any framework looks at them.

Finding a route among the thirty that FastAPI documents, and its stack of middleware, cost 0.2 ms a request, as much as
the call of the model server. These two patterns and one place for errors stand before it; it gets everything else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.core.errors import TensorgateError
from services.gateway.faults import OPERATION_KEY, REQUEST_ID_KEY, answer_error

_log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

_REF = r"(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?"
_TYPED = re.compile(rf"/api/models/{_REF}/(?P<task>[a-z-]+)")
_TFS = re.compile(rf"/v1/models/{_REF}:(?P<task>predict)")


class HotPaths:
    """An ASGI application before the others. `typed` and `tfs`: a door's endpoints by the last word of the path."""

    def __init__(self, typed: Mapping[str, Endpoint], tfs: Mapping[str, Endpoint], others: ASGIApp) -> None:
        self._doors = (("rest", _TYPED, typed), ("tfs", _TFS, tfs))
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to a model; pass on any other."""
        endpoint = self._find(scope)
        if endpoint is None:
            return await self._others(scope, receive, send)
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except Exception as error:  # whatever it was, the client gets an answer and we get the reason
            if not isinstance(error, (TensorgateError, ClientDisconnect)):
                _log.error("request %s failed", scope[REQUEST_ID_KEY], exc_info=error)
            response = await answer_error(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> Endpoint | None:
        if scope["method"] != "POST":
            return None
        for door, pattern, endpoints in self._doors:
            found = pattern.fullmatch(scope["path"])
            if found is not None and found["task"] in endpoints:
                parts: dict[str, Any] = found.groupdict()
                endpoint = endpoints[parts.pop("task")]
                scope["path_params"] = parts
                scope[OPERATION_KEY] = (door, endpoint.__name__)
                return endpoint
        return None
