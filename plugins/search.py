"""What a plugin says may be searched when its hyper-parameters are tuned (book 7.3.2); part of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole if both are; `log` draws each order of magnitude alike."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high or (self.log and self.low <= 0):
            raise ValueError(f"A Range goes up from low to high; with log, low is above 0. Received: {self}")


@dataclass(frozen=True)
class Choice:
    """One of these."""

    options: Sequence[str | int | float | bool]


Search = Range | Choice
