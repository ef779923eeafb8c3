"""Whether a call that failed is sent again, and when. All calls of the model server may be: they change nothing."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.errors import NotFound, TensorgateError
from services.gateway.overload import is_passing

MOST_TRIES = 3
_SHARE = 0.1
_FIRST_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Tried:
    """A call that failed: how often it was sent, whether another server could answer it, and seconds left."""

    times: int
    others: bool
    left: float


def pause_before_next(error: TensorgateError, tried: Tried, luck: float) -> float | None:
    """Seconds to wait before the call is sent again; None: it is not.

    Another server is asked at once. The same one after a pause, by "full jitter": anything up to a bound that doubles
    each time (Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015); `luck` is from [0, 1). What is not
    found was unloaded there, or is another group's: any other server may have it.
    """
    if isinstance(error, NotFound):
        return 0.0 if tried.others and tried.left > 0 else None
    if tried.times >= MOST_TRIES or not is_passing(error):
        return None
    if tried.others:
        return 0.0 if tried.left > 0 else None
    pause = luck * _FIRST_PAUSE_SECONDS * 2 ** (tried.times - 1)
    return pause if pause < tried.left else None


class RetryBudget:
    """Bounds retries to a tenth of all calls and a reserve, so that they never are what keeps a server down.

    Finagle's RetryBudget: each call earns a part of a retry, each retry spends a whole one. The reserve is full at
    first, and as large as what fails at once when a server dies: all its calls.
    """

    def __init__(self, reserve: int) -> None:
        self._reserve = float(reserve)
        self._retries = self._reserve

    def earn(self) -> None:
        """A call was asked for."""
        if self._retries < self._reserve:
            self._retries = min(self._retries + _SHARE, self._reserve)

    def spend(self) -> bool:
        """Take one retry out, if there is one."""
        if self._retries < 1:
            return False
        self._retries -= 1
        return True
