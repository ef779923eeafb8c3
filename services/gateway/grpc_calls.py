"""What every gRPC method has around it: its deadline, the request id, the count, and errors made into statuses."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.core.errors import Code
from services.core.telemetry import REQUEST
from services.gateway.bodies import MOST_SECONDS
from services.gateway.faults import public_text
from services.gateway.metrics import Metrics, Outcome
from services.gateway.overload import seconds_until_retry
from services.gateway.request_id import request_id_of
from services.rpc.call import Call
from services.rpc.messages import Status

if TYPE_CHECKING:
    from services.gateway.spans import Tracing

_log = logging.getLogger(__name__)

Told = Callable[[Exception], tuple[Code, str]]
_REQUEST_ID = b"x-request-id"
_PUSHBACK = "grpc-retry-pushback-ms"  # how a client that retries by itself is told when (gRPC proposal A6, Pushback)


class GrpcCalls:
    """All calls under way on the gRPC port. `seconds` is the budget of one that states no deadline."""

    def __init__(self, metrics: Metrics, seconds: float, tracing: Tracing | None = None) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._seconds = seconds
        self.running = 0
        self.idle = asyncio.Event()  # set while no call is under way
        self.idle.set()

    def deadline(self, call: Call) -> float:
        """On the event loop's clock."""
        now = asyncio.get_running_loop().time()
        return now + self._seconds if call.deadline is None else min(call.deadline, now + MOST_SECONDS)

    @asynccontextmanager
    async def answering(
        self, call: Call, operation: tuple[str, str], model: str, told: Told = public_text
    ) -> AsyncIterator[None]:
        """Around a method: door and operation, the model as it was written, and what a client may see of an error."""
        clock = asyncio.get_running_loop().time
        started, code = clock(), Code.CANCELLED
        self.running += 1
        self.idle.clear()
        request_id = name_request(call)
        trace = None if self._tracing is None else self._tracing.begin_call(call.path, call.metadata, model)
        try:
            yield
            code = Code.OK
        except Exception as error:  # whatever it was, the client gets a status and we get the reason
            code, text = told(error)
            call.trailing = _trailing(request_id, error)
            if code is Code.INTERNAL:
                _log.error("request %s failed", request_id, exc_info=error)
            raise Status(code, text) from None
        finally:
            self.running -= 1
            if not self.running:
                self.idle.set()
            if trace is not None:
                trace.end_rpc(code)
            self._metrics.request(Outcome(*operation, model, code.name, clock() - started))


def name_request(call: Call, error: Exception | None = None) -> str:
    """The request's id, which its answer carries whatever comes of it; `error`, if that is known already."""
    given = next((value for name, value in call.metadata if name == _REQUEST_ID), None)
    request_id = request_id_of(None if given is None else given.decode("latin-1"))
    REQUEST.set({"request_id": request_id})
    call.trailing = _trailing(request_id, error)
    return request_id


def _trailing(request_id: str, error: Exception | None) -> tuple[tuple[str, str], ...]:
    seconds = None if error is None else seconds_until_retry(error)
    pushback = () if seconds is None else ((_PUSHBACK, str(math.ceil(1000 * seconds))),)
    return ((_REQUEST_ID.decode(), request_id), *pushback)
