"""All model servers as one: which of them is asked, again after a failure, and a second one when the first is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from services.core.errors import NotFound, TensorgateError
from services.gateway.backend import Backend
from services.gateway.breaker import CLOSED
from services.gateway.gauges import ServerSample
from services.gateway.metrics import Metrics
from services.gateway.request import Call, Columns
from services.gateway.retries import RetryBudget, Tried, pause_before_next
from services.gateway.routing_table import Servable
from services.gateway.slots import Server, Slots
from services.gateway.tracing import TRACES

T = TypeVar("T")
Send = Callable[[Backend], Awaitable[T]]

_SERVER = ""  # whose slots calls take that are about no model's version


@dataclass(frozen=True)
class CallRules:
    """`most_calls` are under way at one server; a second server is asked after `hedge_seconds`, None: never."""

    most_calls: int = 16
    hedge_seconds: float | None = None


class Backends:
    """Owns the servers' slots and the budget of retries. `luck` draws from [0, 1)."""

    def __init__(
        self, backends: Sequence[Backend], rules: CallRules, *, metrics: Metrics, luck: Callable[[], float]
    ) -> None:
        self._backends = {backend.address: backend for backend in backends}
        self._servers = [Server(address) for address in self._backends]
        self._clock = asyncio.get_running_loop().time
        self._slots = Slots(rules.most_calls, self._clock, metrics.shed)
        self._budget = RetryBudget(2 * rules.most_calls)
        self._hedge_seconds = rules.hedge_seconds
        self._metrics = metrics
        self._luck = luck

    def predict(self, call: Call) -> Awaitable[Columns]:
        """The outputs. Raises what the model server said, Unavailable or Overloaded."""
        return self._ask(call.servable, call.deadline, lambda backend: backend.predict(call))

    def forward(
        self, method: str, request: Any, deadline: float, *, servable: Servable | None = None
    ) -> Awaitable[Any]:
        """Any method of the two services, by a server that has the version; None: by any server."""
        return self._ask(servable, deadline, lambda backend: backend.forward(method, request, deadline))

    def tell(self, answering: Mapping[str, bool]) -> None:
        """What a poll said, by address. One that is back is another process: its breaker knew the one before."""
        for server in self._servers:
            if answering[server.address] and not server.up:
                server.breaker = CLOSED
            server.up = answering[server.address]

    def samples(self) -> Sequence[ServerSample]:
        """How the servers are at this moment."""
        now = self._clock()
        return [ServerSample(one.address, one.calls, one.breaker.state(now)) for one in self._servers]

    async def _ask(self, servable: Servable | None, deadline: float, send: Send[T]) -> T:
        model = _SERVER if servable is None else servable.name
        having = [one for one in self._servers if servable is None or one.address in servable.servers]
        self._budget.earn()
        tried: list[Server] = []
        servers: Sequence[Server] = having
        while True:
            server = self._slots.take(model, servers) or await self._wait(model, servers)
            tried.append(server)
            try:
                if self._hedge_seconds is None or len(having) == 1:
                    return await self._send(server, model, send)
                return await self._hedged(server, model, having, send)
            except TensorgateError as error:
                servers = self._untried(having, tried) or having
                stands = Tried(len(tried), others=servers is not having, left=deadline - self._clock())
                pause = pause_before_next(error, stands, self._luck())
                if pause is None or not (isinstance(error, NotFound) or self._budget.spend()):
                    raise
                self._metrics.retry(error.code.name)
            await asyncio.sleep(pause)

    async def _send(self, server: Server, model: str, send: Send[T]) -> T:
        began = self._clock()
        try:
            answer = await send(self._backends[server.address])
        except BaseException as error:
            self._slots.ended(server, model, error)
            raise
        self._slots.ended(server, model, None)
        self._metrics.spent(model, "call", self._clock() - began)
        return answer

    async def _wait(self, model: str, servers: Sequence[Server]) -> Server:
        began = self._clock()
        server = await self._slots.wait(model, servers)
        seconds = self._clock() - began
        self._metrics.spent(model, "slot", seconds)
        for trace in TRACES.get():
            trace.waited("slot", seconds)
        return server

    async def _hedged(self, server: Server, model: str, having: Sequence[Server], send: Send[T]) -> T:
        """The first answer: when one does not come soon a second server is asked too, and the later one is told to
        stop.
        """
        calls = {asyncio.create_task(self._send(server, model, send))}
        try:
            done, _ = await asyncio.wait(calls, timeout=self._hedge_seconds)
            second = None if done else self._take_hedge(model, self._untried(having, [server]))
            if second is not None:
                calls.add(asyncio.create_task(self._send(second, model, send)))
            while True:
                done, under_way = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                answered = [call for call in done if call.exception() is None]
                if answered or not under_way:
                    return (answered or list(done))[0].result()
                calls = under_way
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    def _untried(self, having: Sequence[Server], tried: Sequence[Server]) -> Sequence[Server]:
        now = self._clock()
        return [one for one in having if one not in tried and one.breaker.admits(now)]

    def _take_hedge(self, model: str, servers: Sequence[Server]) -> Server | None:
        """A slot that is free now, if there is a retry to spend: hedges must not be what fills the servers either."""
        second = self._slots.take(model, servers) if servers else None
        if second is None:
            return None
        if not self._budget.spend():
            self._slots.ended(second, model, asyncio.CancelledError())
            return None
        self._metrics.hedge()
        return second
