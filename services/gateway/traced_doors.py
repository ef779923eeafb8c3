"""The span of each HTTP request, from its head to the last byte of its answer.

It stands behind the gate, so that strangers send nothing to the collector; what is free for them has no span either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.faults import OPERATION_KEY, code_of
from services.gateway.gate import is_free

if TYPE_CHECKING:
    from services.gateway.spans import Tracing

_NAMES = re.compile(r"(?i)(/models)/[^/:]+(?:(/versions)/[^/:]+|(/labels)/[^/:]+)?")


class TracedDoors:
    """An ASGI application around the doors."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within its trace."""
        if is_free(scope["path"]):
            return await self._app(scope, receive, send)
        method = scope["method"]
        asked = {"http.request.method": method, "url.path": scope["path"], "url.scheme": scope["scheme"]}
        trace = self._tracing.begin(method, scope["headers"], asked)
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route, model = route_of(scope), scope.get("path_params", {}).get("model")
            found = {"http.route": route} if route else {}
            told = {**found, **({"tensorgate.model": model} if model else {})}
            trace.end_http(f"{method} {route}".rstrip(), status, told, code_of(scope, status))


def route_of(scope: Scope) -> str:
    """The path with words for what clients choose in it; "" where no operation of ours was found."""
    if OPERATION_KEY not in scope:
        return ""
    return _NAMES.sub(_named, scope["path"])


def _named(found: re.Match[str]) -> str:
    models, versions, labels = found.groups()
    return f"{models}/{{model}}" + (f"{versions}/{{version}}" if versions else f"{labels}/{{label}}" if labels else "")
