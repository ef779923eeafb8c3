"""When a model server that refuses calls is left alone: Nygard's circuit breaker (Release It!, 2007, chapter 5).

Closed: calls go through. After five failures in a row it opens: no calls for a second. Then one call a second goes
through to find out (half-open), until one has an answer, or the next failure opens it again. One call alone would not
do: it may be slow, and its client patient.
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

    `rests_until` is None while closed.
    """

    failures: int = 0
    rests_until: float | None = None

    def state(self, now: float) -> BreakerState:
        """What it is at this moment."""
        if self.rests_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.rests_until else BreakerState.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Whether one more call may be sent."""
        return self.rests_until is None or now >= self.rests_until

    def sent(self, now: float) -> Breaker:
        """A call was sent."""
        return self if self.rests_until is None else replace(self, rests_until=now + REST_SECONDS)

    def failed(self, now: float) -> Breaker:
        """A call ended because the server could not be reached or refused it."""
        failures = self.failures + 1
        return Breaker(failures, now + REST_SECONDS if failures >= MOST_FAILURES else None)


CLOSED = Breaker()  # and what an answer, of whatever kind, makes of any
