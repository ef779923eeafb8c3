"""How much is asked at once follows how long it took."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.gateway.pace import Pace, RowLimit

PACE = Pace(least=2, most=24, short=0.1, long=0.4)


@pytest.mark.parametrize(
    ("count", "seconds", "then"),
    [(2, 0.05, 4), (16, 0.05, 24), (24, 0.01, 24), (8, 0.1, 8), (8, 0.4, 8), (8, 0.5, 4), (3, 9, 2), (2, 9, 2)],
)
def test_more_after_a_short_call_and_less_after_a_long_one(count: int, seconds: float, then: int) -> None:
    assert PACE.after(count, seconds) == then


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [
        (lambda rows: 0.5 * rows, 2, 4),  # a step of a picture each
        (lambda rows: 0.03 * rows, 8, 16),
        (lambda rows: 0.5 + 0.001 * rows, 128, 128),  # a large network: a call of fewer would take as long
        (lambda rows: 0.001 * rows, 128, 128),
    ],
)
def test_a_batch_has_fewer_rows_where_rows_take_the_time(
    seconds: Callable[[int], float], least: int, most: int
) -> None:
    limit = RowLimit(most=128, long=0.4, rows=128)
    limit.learn(1, 5.0)  # the first of all warms something up
    limit.learn(1, seconds(1))
    seen = []
    for _ in range(40):
        seen.append(limit.rows)
        limit.learn(limit.rows, seconds(limit.rows))
    assert (min(seen[20:]), max(seen[20:])) == (least, most)
