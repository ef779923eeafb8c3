"""Natural batching: whoever comes while a call is under way leaves together with the next one. There is no timer.

A lane is one (model, version, signature, names, row shapes, types): rows in a lane can share a call. A lane has one
call in flight for each model server that has the version. A request that finds its lane free goes out at once, in its
caller's own task; the others queue, and leave together when a call returns. So a lone request waits for nobody, and
load makes batches by itself. Where a batch takes long the next has fewer rows: 64 pictures that grow step by step must
not become one call that nobody can leave for half a minute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from services.core.errors import Internal, InvalidArgument, TensorgateError
from services.gateway.overload import Overloaded
from services.gateway.pace import RowLimit
from services.gateway.request import Call, Columns
from services.gateway.routing_table import Servable
from services.gateway.tracing import TRACES

Predict = Callable[[Call], Awaitable[Columns]]

_NAME = itemgetter(0)
# Of the event loop, before others leave together: a request over gRPC takes several from the socket to here, and those
# on their way would find the call gone. Under load that halves the calls; of an idle loop a pass takes some 10 us.
_PASSES = 8


class Counts(Protocol):
    """Who counts."""

    def call(self, servable: Servable, rows: int) -> None:
        """One call of the model server."""
        ...

    def spent(self, model: str, stage: str, seconds: float) -> None:
        """How long a request waited in the stage `queue`."""
        ...

    def shed(self, reason: str) -> None:
        """One request that was refused because too much waits."""
        ...


@dataclass(frozen=True)
class BatchLimits:
    """Bounds of one batch and of what waits: rows and bytes of a batch, rows a lane, bytes in all lanes together.

    A lane's batches have fewer rows where they take more than `long` seconds. `calls_alone` bounds the calls under way
    that no batch can take.
    """

    batch_rows: int = 128
    batch_bytes: int = 32 << 20
    queue_rows: int = 4096
    queue_bytes: int = 256 << 20
    calls_alone: int = 64
    long: float = 0.4


@dataclass(slots=True, eq=False)
class _Waiting:
    call: Call
    rows: int
    size: int
    since: float
    context: Context  # its caller's: in whose name it is sent
    result: asyncio.Future[Columns]
    batch: Sequence[_Waiting] = ()  # it left together with these
    task: asyncio.Task[None] | None = None  # ... in this task

    def leave(self) -> None:
        """Its caller has gone. A batch that nobody wants any more is not waited for."""
        if self.task is not None and all(waiting.result.cancelled() for waiting in self.batch):
            self.task.cancel()


@dataclass(slots=True)
class _Lane:
    width: int  # most calls in flight
    limit: RowLimit
    calls: int = 0
    queue: deque[_Waiting] = field(default_factory=deque)
    rows: int = 0


class Batcher:
    """Owns the lanes. `predict` asks the model servers."""

    def __init__(self, predict: Predict, limits: BatchLimits, counts: Counts) -> None:
        self._predict = predict
        self._limits = limits
        self._counts = counts
        self._lanes: dict[Any, _Lane] = {}
        self._queued_bytes = 0
        self._alone = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def predict(self, call: Call) -> Columns:
        """The outputs for the rows of this call alone, whatever else was in the batch.

        Raises Overloaded when too much waits already, else what the backend raises.
        """
        if call.rows is None:
            return await self._send_alone(call)
        key = _lane_of(call)
        lane = self._lanes.get(key)
        if lane is None:
            most = self._limits.batch_rows
            limit = RowLimit(most, self._limits.long, most)
            lane = self._lanes[key] = _Lane(max(len(call.servable.servers), 1), limit)
        elif lane.calls >= lane.width:
            return await self._join(lane, call, call.rows)
        lane.calls += 1
        try:
            return await self._send_in(lane, call)
        finally:
            self._go_on(key, lane)

    def queued(self) -> Mapping[str, int]:
        """How many requests wait for a batch to leave, by model."""
        queued: dict[str, int] = {}
        for lane in self._lanes.values():
            if lane.queue:
                name = lane.queue[0].call.servable.name
                queued[name] = queued.get(name, 0) + len(lane.queue)
        return queued

    async def _send_alone(self, call: Call) -> Columns:
        """A call that no other can join: its inputs have no axis 0 in common."""
        if self._alone >= self._limits.calls_alone:
            raise self._shed(
                f"At most {self._limits.calls_alone} calls whose inputs differ in their first dimension are under way "
                "at once. Received: one more"
            )
        self._alone += 1
        try:
            return await self._send(call)
        finally:
            self._alone -= 1

    async def _send_in(self, lane: _Lane, call: Call) -> Columns:
        time = asyncio.get_running_loop().time
        began = time()
        columns = await self._send(call)
        lane.limit.learn(call.rows or 1, time() - began)
        return columns

    def _send(self, call: Call) -> Awaitable[Columns]:
        self._counts.call(call.servable, call.rows or 1)
        return self._predict(call)

    def _shed(self, text: str) -> Overloaded:
        self._counts.shed("queue")
        return Overloaded(text)

    async def _join(self, lane: _Lane, call: Call, rows: int) -> Columns:
        size = sum(map(_bytes_of, call.columns.values()))
        if lane.rows + rows > self._limits.queue_rows or self._queued_bytes + size > self._limits.queue_bytes:
            raise self._shed(
                f"At most {self._limits.queue_rows} rows of one model and {self._limits.queue_bytes} bytes in all wait "
                f"for the model server. Received: {rows} more rows while {lane.rows} rows and "
                f"{self._queued_bytes} bytes wait"
            )
        loop = asyncio.get_running_loop()
        waiting = _Waiting(call, rows, size, loop.time(), copy_context(), loop.create_future())
        lane.queue.append(waiting)
        lane.rows += rows
        self._queued_bytes += size
        try:
            return await waiting.result
        except asyncio.CancelledError:
            waiting.leave()
            raise

    def _go_on(self, key: Any, lane: _Lane, passes: int = _PASSES) -> None:
        """After a call: send what has queued up, or close the lane. Until then the lane still has that call."""
        if lane.queue and passes:
            asyncio.get_running_loop().call_soon(self._go_on, key, lane, passes - 1)
            return
        lane.calls -= 1
        batch = self._take(lane)
        if batch:
            self._start(key, lane, batch)
        elif not lane.calls:
            del self._lanes[key]

    def _start(self, key: Any, lane: _Lane, batch: Sequence[_Waiting]) -> None:
        lane.calls += 1
        loop = asyncio.get_running_loop()
        now = loop.time()
        for waiting in batch:
            self._counts.spent(waiting.call.servable.name, "queue", now - waiting.since)
            for trace in waiting.context.get(TRACES, ()):
                trace.waited("queue", now - waiting.since)
        task = loop.create_task(self._run(lane, batch), context=_context_of(batch))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            _settle(task, batch)
            for waiting in batch:  # their tensors are not to wait for the garbage collector
                waiting.batch, waiting.task = (), None
            self._go_on(key, lane)

        task.add_done_callback(ended)
        for waiting in batch:
            waiting.batch, waiting.task = batch, task

    def _take(self, lane: _Lane) -> Sequence[_Waiting]:
        """The next batch: those still wanted, in order, within the bounds; a request larger than these goes alone."""
        batch: list[_Waiting] = []
        rows = size = 0
        while lane.queue:
            first = lane.queue[0]
            fits = rows + first.rows <= lane.limit.rows and size + first.size <= self._limits.batch_bytes
            if batch and not fits:
                break
            lane.queue.popleft()
            lane.rows -= first.rows
            self._queued_bytes -= first.size
            if not first.result.done():  # done here: its caller went away or ran out of time
                batch.append(first)
                rows, size = rows + first.rows, size + first.size
        return batch

    async def _run(self, lane: _Lane, batch: Sequence[_Waiting]) -> None:
        if len(batch) == 1:
            await self._answer(lane, batch[0])
            return
        try:
            outputs = await self._send_in(lane, _joined([waiting.call for waiting in batch]))
        except InvalidArgument:  # one of them is at fault; the others must not pay for it
            await self._one_by_one(lane, batch)
        except TensorgateError as error:
            for waiting in batch:
                _fail(waiting, error)
        else:
            if any(not array.ndim or array.shape[0] != sum(w.rows for w in batch) for array in outputs.values()):
                await self._one_by_one(lane, batch)  # an output that has no row for each row cannot be shared out
            else:
                _share(outputs, batch)

    async def _one_by_one(self, lane: _Lane, batch: Sequence[_Waiting]) -> None:
        for waiting in batch:
            if not waiting.result.done():
                await asyncio.get_running_loop().create_task(self._answer(lane, waiting), context=waiting.context)

    async def _answer(self, lane: _Lane, waiting: _Waiting) -> None:
        try:
            outputs = await self._send_in(lane, waiting.call)
        except TensorgateError as error:
            _fail(waiting, error)
        else:
            if not waiting.result.done():
                waiting.result.set_result(outputs)


def _lane_of(call: Call) -> Any:
    kinds = [(name, array.dtype, array.shape[1:]) for name, array in call.columns.items()]
    return call.servable, call.signature, *(sorted(kinds, key=_NAME) if len(kinds) > 1 else kinds)


def _joined(calls: Sequence[Call]) -> Call:
    """One call with all rows; it may take as long as the most patient of them allows."""
    first = calls[0]
    columns = {name: np.concatenate([call.columns[name] for call in calls]) for name in first.columns}
    rows = sum(call.rows or 0 for call in calls)
    return Call(first.servable, first.signature, columns, rows, max(call.deadline for call in calls))


def _context_of(batch: Sequence[_Waiting]) -> Context:
    """Of one request its caller's; what is done for several is in nobody's name but their traces'."""
    if len(batch) == 1:
        return batch[0].context
    context = Context()
    traces = [trace for waiting in batch for trace in waiting.context.get(TRACES, ())]
    if traces:
        context.run(TRACES.set, traces)
    return context


def _share(outputs: Columns, batch: Sequence[_Waiting]) -> None:
    start = 0
    for waiting in batch:
        stop = start + waiting.rows
        if not waiting.result.done():
            waiting.result.set_result({name: array[start:stop] for name, array in outputs.items()})
        start = stop


def _fail(waiting: _Waiting, error: TensorgateError) -> None:
    if not waiting.result.done():
        waiting.result.set_exception(error)


def _settle(task: asyncio.Task[None], batch: Sequence[_Waiting]) -> None:
    """However the batch ended, even by a fault of ours, nobody is left waiting."""
    fault = None if task.cancelled() else task.exception()
    for waiting in batch:
        if not waiting.result.done():
            waiting.result.set_exception(fault or Internal("The batch ended without an answer."))


def _bytes_of(array: Any) -> int:
    return sum(map(len, array.flat)) if array.dtype.kind == "O" else int(array.nbytes)
