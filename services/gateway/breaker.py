"""When a model server that refuses calls is left alone: Nygard's circuit breaker (Release It!, 2007, chapter 5).

Closed: calls go through. After five failures in a row it opens: no calls for a second. Then one call goes through to
find out (half-open), and its end closes the breaker or opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

MOST_FAILURES = 5
REST_SECONDS = 1.0


class BreakerState(IntEnum):
    """As the metrics show it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class Breaker:
    """One server's. Each event makes the next value; times are of any one clock, in seconds.

    `rests_until` is None while closed; `trying` while the call that finds out is under way.
    """

    failures: int = 0
    rests_until: float | None = None
    trying: bool = False

    def state(self, now: float) -> BreakerState:
        """What it is at this moment."""
        if self.rests_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.rests_until else BreakerState.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Whether one more call may be sent."""
        return self.rests_until is None or (now >= self.rests_until and not self.trying)

    def sent(self) -> Breaker:
        """A call was sent."""
        return self if self.rests_until is None else replace(self, trying=True)

    def failed(self, now: float) -> Breaker:
        """A call ended because the server could not be reached or refused it."""
        failures = self.failures + 1
        return Breaker(failures, now + REST_SECONDS if failures >= MOST_FAILURES else None)

    def told_nothing(self) -> Breaker:
        """A call ended by its deadline or because nobody waited for it any more."""
        return replace(self, trying=False) if self.trying else self


CLOSED = Breaker()  # and what an answer, of whatever kind, makes of any
