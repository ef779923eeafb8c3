"""The paths that ask a model something, answered before any framework looks at them.

Finding a route among the others, and a framework's stack of middleware, cost 0.2 ms a request, as much as
the call of the model server. One pattern, one prefix and one place for errors stand before it; it gets everything else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.core.errors import TensorgateError
from services.core.tfs_paths import is_tfs_path
from services.gateway.faults import OPEN_INFERENCE, OPENAI, OPERATION_KEY, REQUEST_ID_KEY, answer_error

_log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

_LONG = 256  # characters of a path that is nobody's model, and would only take memory
_DOORS = {"api": "rest", "v2": OPEN_INFERENCE}  # by the first word of the path
_ASKED = re.compile(
    r"/(?P<door>api|v2)/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?/(?P<task>[a-z_-]+)"
)


def _asked(path: str) -> tuple[str, str, Mapping[str, Any]] | None:
    """The path's first word and its last, and what it names between them."""
    found = _ASKED.fullmatch(path)
    if found is None:
        return None
    parts = found.groupdict()
    return parts.pop("door"), parts.pop("task"), parts


_asked_again = lru_cache(1024)(_asked)  # the same few are asked again and again


class HotPaths:
    """An ASGI application before the others.

    `asked`: the typed door's and Open Inference's endpoints by the first and the last word of the path; `openai`: that
    door's by method and path. `tfs` answers all that TensorFlow Serving would.
    """

    def __init__(
        self,
        asked: Mapping[tuple[str, str], Endpoint],
        openai: Mapping[tuple[str, str], Endpoint],
        tfs: Endpoint,
        others: ASGIApp,
    ) -> None:
        self._asked = asked
        self._openai = openai
        self._tfs = tfs
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to a model; pass on any other."""
        endpoint = self.find(scope)
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

    def find(self, scope: Scope) -> Endpoint | None:
        """Who answers here, noted in the scope where the path alone says it; None: another application."""
        if is_tfs_path(scope["path"]):
            endpoint = self._openai.get((scope["method"], scope["path"]))
            if endpoint is None:
                return self._tfs
            scope[OPERATION_KEY] = (OPENAI, endpoint.__name__)
            return endpoint
        asked = _asked_again(scope["path"]) if len(scope["path"]) <= _LONG else _asked(scope["path"])
        if asked is None or scope["method"] != "POST":
            return None
        door, task, parts = asked
        endpoint = self._asked.get((door, task))
        if endpoint is not None:
            scope["path_params"] = {**parts}
            scope[OPERATION_KEY] = (_DOORS[door], endpoint.__name__)
        return endpoint
