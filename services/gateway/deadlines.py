"""Ends requests that run out of time.

A timer a request, as asyncio's own timeout arms one, is some 4 us of its 100. Here those that are due within the same
hundredth of a second have one together, and end up to that much late.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

_TICKS = 100  # a second


class Deadlines:
    """Owns the timers, one a tick for which somebody waits or has waited."""

    def __init__(self) -> None:
        self._due: dict[int, set[_Deadline]] = {}

    def at(self, when: float) -> _Deadline:
        """A context that ends with TimeoutError soon after `when`, on the event loop's clock."""
        tick = int(when * _TICKS) + 1
        due = self._due.get(tick)
        if due is None:
            due = self._due[tick] = set()
            asyncio.get_running_loop().call_at(tick / _TICKS, self._end, tick)
        return _Deadline(due)

    def _end(self, tick: int) -> None:
        for deadline in self._due.pop(tick):
            deadline.end()


class _Deadline:
    """Cancels its task, and tells that from a cancellation by somebody else, as asyncio.Timeout does."""

    __slots__ = ("_before", "_due", "_late", "_task")

    def __init__(self, due: set[_Deadline]) -> None:
        self._due = due
        self._late = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._before = task, task.cancelling()
        self._due.add(self)

    def end(self) -> None:
        """The time has come."""
        self._late = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._due.discard(self)
        if self._late and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error
