"""Which model server takes the next call, and who waits while all are full.

Each server has so many slots for calls in flight; TensorFlow Serving refuses more than its `--grpc_max_threads`. A
model gets one more slot of a server only while it holds fewer than are free there, so one slow model takes half of
them, a second one half of what is left, and the last stays for a model that has none (Choudhury and Hahne, Dynamic
queue length thresholds for shared-memory packet switches, 1998, with alpha = 1). Who waits is served by turns, model by
model.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.core.errors import DeadlineExceeded, Unavailable
from services.gateway.breaker import CLOSED, Breaker
from services.gateway.overload import Overloaded

MOST_WAITING = 256  # calls of one model


@dataclass(slots=True, eq=False)
class Server:
    """One model server and the calls it has. `turn` grows with each: of equals the one with the lowest is next. `up` is
    what the last poll said.
    """

    address: str
    calls: int = 0
    calls_of: dict[str, int] = field(default_factory=dict)
    breaker: Breaker = CLOSED
    turn: int = 0
    up: bool = True


@dataclass(slots=True, eq=False)
class _Waiting:
    servers: Sequence[Server]
    granted: asyncio.Future[Server]


class Slots:
    """Owns the servers' counts and breakers, and the queues. `most` is the number of slots of each server."""

    def __init__(self, most: int, clock: Callable[[], float], shed: Callable[[str], None]) -> None:
        self._most = most
        self._clock = clock
        self._shed = shed
        self._queues: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._turn = 0

    def take(self, model: str, servers: Sequence[Server]) -> Server | None:
        """The server with the fewest calls that may take one more, which then has it; None: all are full.

        Raises Unavailable when all of them are left alone, because they do not answer.
        """
        server = self._least_busy(model, servers)
        if server is not None:
            self._turn += 1
            server.turn = self._turn
            server.calls += 1
            server.calls_of[model] = server.calls_of.get(model, 0) + 1
            if server.breaker.rests_until is not None:
                server.breaker = server.breaker.sent(self._clock())
        return server

    def _least_busy(self, model: str, servers: Sequence[Server]) -> Server | None:
        best, admitted = None, False
        for server in servers:
            if server.breaker.rests_until is not None and not server.breaker.admits(self._clock()):
                continue
            admitted = True
            if server.calls_of.get(model, 0) >= self._most - server.calls:
                continue
            if best is None or (server.calls, server.turn) < (best.calls, best.turn):
                best = server
        if not admitted:
            self._shed("breaker")
            raise Unavailable("The model server does not answer; try again in a moment.")
        return best

    async def wait(self, model: str, servers: Sequence[Server]) -> Server:
        """The same when one is free. Raises Overloaded when too many wait already."""
        queue = self._queues.setdefault(model, deque())
        if len(queue) >= MOST_WAITING:
            self._shed("slots")
            raise Overloaded(
                f"At most {MOST_WAITING} calls of one model wait for the model server. Received: one more for {model}"
            )
        waiting = _Waiting(servers, asyncio.get_running_loop().create_future())
        queue.append(waiting)
        try:
            return await waiting.granted
        except asyncio.CancelledError as error:
            if waiting in queue:
                queue.remove(waiting)
            elif not waiting.granted.cancelled() and waiting.granted.exception() is None:  # in the same moment
                self.ended(waiting.granted.result(), model, error)
            raise

    def ended(self, server: Server, model: str, error: BaseException | None) -> None:
        """A call came back, with or without an answer."""
        if isinstance(error, Unavailable):
            server.breaker = server.breaker.failed(self._clock())
        elif not isinstance(error, (asyncio.CancelledError, DeadlineExceeded)):  # an error may be an answer, too
            server.breaker = CLOSED
        server.calls -= 1
        server.calls_of[model] -= 1
        while self._queues and any(self._grant(waiting) for waiting in tuple(self._queues)):
            pass

    def _grant(self, model: str) -> bool:
        """Whether the first of a model's queue got a slot, or an error; then it is the other models' turn."""
        queue = self._queues[model]
        while queue and queue[0].granted.done():  # its caller went away
            queue.popleft()
        if not queue:
            del self._queues[model]
            return False
        try:
            server = self.take(model, queue[0].servers)
        except Unavailable as error:
            queue.popleft().granted.set_exception(error)
            return True
        if server is None:
            return False
        queue.popleft().granted.set_result(server)
        self._queues.move_to_end(model)
        return True
