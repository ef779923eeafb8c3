"""The outermost layer of every HTTP request: its id, its count, its line in the access log."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.telemetry import REQUEST, Facts
from services.gateway.faults import OPERATION_KEY, REQUEST_ID_KEY, code_of
from services.gateway.metrics import Metrics, Outcome
from services.gateway.request_id import request_id_of

_access = logging.getLogger("services.gateway.access")

_HEADER = b"x-request-id"


class Edge:
    """An ASGI application around the doors; `running` requests are under way."""

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._access_log = access_log
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; other kinds of connection untouched."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = time.monotonic()
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), None)
        scope[REQUEST_ID_KEY] = request_id = request_id_of(given)
        REQUEST.set({"request_id": request_id})
        header = (_HEADER, request_id.encode())
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append(header)
            await send(message)

        self.running += 1
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self.running -= 1
            self._count(scope, status, time.monotonic() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        code = code_of(scope, status)
        operation = scope.get(OPERATION_KEY)
        model = scope.get("path_params", {}).get("model", "")
        if operation is not None:
            self._metrics.request(Outcome(operation[0], operation[1], model, code.name, seconds))
        if self._access_log:
            facts = Facts(
                REQUEST.get(),
                method=scope["method"],
                path=scope["path"],
                status=status,
                code=code.name,
                seconds=round(seconds, 6),
            )
            _access.info(facts)
