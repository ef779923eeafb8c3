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


@dataclass(frozen=True)
class Choice:
    """One of these."""

    options: Sequence[str | int | float | bool]


Search = Range | Choice
