"""What stands before all doors where keys are set: without a known key, or with one that asks too often, nothing is
read and nothing told.

Only probes, metrics and the pages that describe every gateway alike are free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.core.errors import Unauthenticated
from services.core.tfs_paths import is_tfs_path
from services.gateway.caller import ANYONE, CALLER
from services.gateway.faults import OPEN_INFERENCE, OPERATION_KEY, answer_error, is_open_inference_path
from services.gateway.grpc_calls import name_request
from services.gateway.health import OPEN_INFERENCE_SERVICE
from services.gateway.keyring import Keyring
from services.gateway.metrics import Metrics, Outcome
from services.gateway.rate import RateLimited
from services.rpc.call import Call
from services.rpc.health import HEALTH
from services.rpc.messages import Status

_PROBES = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}
_FREE = frozenset({*_PROBES, "/metrics", "/docs", "/openapi.json"})
_FREE_FILES = "/static-offline-docs/"  # what /docs shows itself with
_FREE_CALLS = (
    f"/{HEALTH.full_name}/Check",  # not Watch: a stranger who does not read what he watches holds it up for all
    *(f"/{OPEN_INFERENCE_SERVICE}/{call}" for call in ("ServerLive", "ServerReady")),
)
_HEADER = b"authorization"
_REFUSED = "refused"


class Gate:
    """An ASGI application before the doors. `find` notes in a scope which door would answer, and so in which form."""

    def __init__(self, app: ASGIApp, find: Callable[[Scope], Any], keyring: Keyring) -> None:
        self._app = app
        self._find = find
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on in its caller's name, or refuse it unread."""
        path = scope["path"]
        if is_free(path):
            CALLER.set(ANYONE)
            return await self._app(scope, receive, send)
        try:
            CALLER.set(self._keyring.admit([value for name, value in scope["headers"] if name == _HEADER]))
        except (Unauthenticated, RateLimited) as error:
            self._find(scope)  # for the door, in whose form errors leave
            scope[OPERATION_KEY] = (scope.get(OPERATION_KEY, (_door(path),))[0], _REFUSED)
            scope.pop("path_params", None)  # or the model's metrics would count strangers
            response = await answer_error(Request(scope), error)
            return await response(scope, receive, send)
        await self._app(scope, receive, send)


def is_free(path: str) -> bool:
    """Whether anybody may ask there."""
    return path in _FREE or path.startswith(_FREE_FILES)


def _door(path: str) -> str:
    """Of those paths that no hot path answers."""
    return "tfs" if is_tfs_path(path) else OPEN_INFERENCE if is_open_inference_path(path) else "rest"


class GrpcGate:
    """The same before every gRPC call but those about health."""

    def __init__(self, keyring: Keyring, metrics: Metrics) -> None:
        self._keyring = keyring
        self._metrics = metrics

    def admit(self, call: Call) -> None:
        """Note in whose name the call comes. Raises Status."""
        if call.path.startswith(_FREE_CALLS):
            return
        try:
            CALLER.set(self._keyring.admit([value for name, value in call.metadata if name == _HEADER]))
        except (Unauthenticated, RateLimited) as error:
            self._metrics.request(Outcome("grpc", _REFUSED, "", error.code.name, 0.0))
            name_request(call, error)
            raise Status(error.code, error.message) from None
