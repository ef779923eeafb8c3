"""One inference, whatever the door: find the servable, run on its threads, count and time it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from services.core.errors import Code, TensorgateError
from services.core.tfs import model_pb2
from services.model_server.metrics import Metrics
from services.model_server.servable import Servable
from services.model_server.server_core import ServerCore
from services.model_server.shortness import Kind

T = TypeVar("T")
_MICROSECONDS = 1e6
_RUNTIME = "TF1"


@dataclass(frozen=True)
class Call:
    """Where a request comes from: the method and the door, as TensorFlow Serving's metrics name them."""

    api: str
    entrypoint: str


class Runner:
    """Runs work on the servable that a model spec means."""

    def __init__(self, core: ServerCore, metrics: Metrics) -> None:
        self._core = core
        self._metrics = metrics

    async def run(
        self, call: Call, spec: model_pb2.ModelSpec, work: Callable[[Servable], T], *, kind: Kind | None = None
    ) -> T:
        """The result of `work`, done off the event loop, unless it is known to be short. Raises what it raises, or
        NotFound or InvalidArgument. `kind` None: nothing is known of its like.

        When the caller is cancelled, work that has not begun never does; work that has, ends on its own.
        """
        started = time.perf_counter()
        name = spec.name if self._core.serves(spec.name) else ""  # a client must not invent label values
        status = Code.CANCELLED
        try:
            servable = self._core.servable(spec)
            if kind is not None and servable.shortness.expects(kind):
                answer, seconds = _timed(work, servable)
            else:
                answer, seconds = await asyncio.wrap_future(servable.submit(lambda: _timed(work, servable)))
            status = Code.OK
        except TensorgateError as error:
            status = error.code
            raise
        finally:
            self._metrics.requests.labels(name, status.name).inc()
        if kind is not None:
            servable.shortness.learn(kind, seconds)
        self._metrics.runtime_latency.labels(name, call.api, _RUNTIME).observe(seconds * _MICROSECONDS)
        elapsed = (time.perf_counter() - started) * _MICROSECONDS
        self._metrics.request_latency.labels(name, call.api, call.entrypoint).observe(elapsed)
        return answer


def _timed(work: Callable[[Servable], T], servable: Servable) -> tuple[T, float]:
    started = time.perf_counter()
    answer = work(servable)
    return answer, time.perf_counter() - started
