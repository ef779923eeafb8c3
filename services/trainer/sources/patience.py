"""How long a source may stay silent before it counts as out of reach: a name server that hangs, too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from services.core.errors import Unavailable

ANSWER_SECONDS = 3.0
T = TypeVar("T")


class Attempt(Generic[T]):
    """`work` in a thread of its own. It is left behind when it does not call `answered` within ANSWER_SECONDS.

    A thread, because looking up a name cannot be interrupted; a daemon, so that it holds nobody up.
    """

    def __init__(self, what: str, work: Callable[[Attempt[T]], T]) -> None:
        self._what = what
        self._work = work
        self._answered = threading.Event()
        self._done = threading.Event()
        self._result: list[T] = []
        self._failure: list[Exception] = []
        self.abandoned = False

    def answered(self) -> None:
        """To be called by the work when the other side has begun to answer: from now on it may take its time."""
        self._answered.set()

    def result(self) -> T:
        """What the work returned or raised. Raises Unavailable if nobody answered in time."""
        threading.Thread(target=self._run, name=self._what, daemon=True).start()
        if not self._answered.wait(ANSWER_SECONDS):
            self.abandoned = True
            raise Unavailable(f"no answer within {ANSWER_SECONDS:g} s")
        self._done.wait()
        if self._failure:
            raise self._failure[0]
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._work(self))
        except Exception as failure:  # handed over to the caller's thread, which raises it
            self._failure.append(failure)
        self._done.set()
        self._answered.set()
