"""How much is asked at once follows how long it took."""

from __future__ import annotations

import pytest

from services.gateway.pace import Pace

PACE = Pace(least=2, most=24, short=0.1, long=0.4)


@pytest.mark.parametrize(
    ("count", "seconds", "then"),
    [(2, 0.05, 4), (16, 0.05, 24), (24, 0.01, 24), (8, 0.1, 8), (8, 0.4, 8), (8, 0.5, 4), (3, 9, 2), (2, 9, 2)],
)
def test_more_after_a_short_call_and_less_after_a_long_one(count: int, seconds: float, then: int) -> None:
    assert PACE.after(count, seconds) == then
