"""Traces, as far as the gateway's parts know them: whose request is answered here, and what is told of it.

Where there is no collector nobody is in TRACES, and nothing of OpenTelemetry is loaded. A context variable says whose
it is, because everything done in a request's name runs in its task or in ones that it starts; a batch's task has all
of its requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from services.core.errors import Code, FailedPrecondition, TensorgateError
from services.gateway.settings import TracesSettings
from services.rpc.call import Metadata

if TYPE_CHECKING:
    from services.gateway.spans import Trace, Tracing

T = TypeVar("T")

TRACES: ContextVar[Sequence[Trace]] = ContextVar("traces", default=())


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call of the model server at `address` (host:port): its path, the version it asks (0: any), and its rows."""

    address: str
    path: str
    model: str
    version: int
    rows: int | None


async def traced(made: ModelCall, send: Callable[[Metadata], Awaitable[T]]) -> T:
    """What `send` gets, as a span `call` of each request that it is for.

    Each has its own, not a link to one that they share: so a trace tells by itself where its request's time went, and
    keeps what its own sampling decided. The model server gets the trace of a call that is one request's.
    """
    traces = TRACES.get()
    calls = [trace.call(made, len(traces)) for trace in traces]
    code = Code.CANCELLED
    try:
        answer = await send(calls[0].metadata if len(calls) == 1 else ())
        code = Code.OK
        return answer
    except TensorgateError as error:
        code = error.code
        raise
    except Exception:
        code = Code.INTERNAL
        raise
    finally:
        for call in calls:
            call.end(code)


def open_tracing(settings: TracesSettings) -> Tracing | None:
    """What begins traces; None: nobody collects them. Raises InvalidArgument, and FailedPrecondition without the
    library.
    """
    endpoint = settings.endpoint
    if endpoint is None:
        return None
    try:
        from services.gateway.spans import Tracing, provider
    except ModuleNotFoundError as error:
        raise FailedPrecondition(
            "Traces need the extra `tracing` (in a checkout: pip install '.[tracing]'); OTEL_TRACES_EXPORTER=none "
            f"switches them off. Received: a collector at {endpoint}, and no {error.name}"
        ) from None
    return Tracing(provider())
