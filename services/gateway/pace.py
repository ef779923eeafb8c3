"""How much to do at once, so that one call of a model server stays short."""

from __future__ import annotations

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
