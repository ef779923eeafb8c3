"""How much to do at once, so that one call of a model server stays short."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """From `least` to `most`; more after a call of less than `short` seconds, less after one of more than `long`."""

    least: int
    most: int
    short: float
    long: float

    def after(self, count: int, seconds: float) -> int:
        """How much next, after a call for `count` that took so long."""
        if seconds < self.short:
            return min(2 * count, self.most)
        return max(count // 2, self.least) if seconds > self.long else count


@dataclass(slots=True)
class RowLimit:
    """Rows of the next batch, up to `most`. After one of more than `long` seconds they are halved, else doubled.

    They stay where rows are not what takes the time: a call of half as many would take as long.
    """

    most: int
    long: float
    rows: int
    quickest: float = math.inf  # seconds of any call

    def learn(self, rows: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        self.quickest = min(self.quickest, seconds)
        if seconds > self.long and seconds > 2 * self.quickest:
            self.rows = max(min(rows, self.rows) // 2, 1)
        else:
            self.rows = min(2 * self.rows, self.most)
