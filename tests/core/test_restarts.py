"""When a process that has died is started again."""

from __future__ import annotations

from services.core.restarts import pause_after


def test_the_pause_doubles_up_to_ten_seconds_and_begins_anew_after_a_long_life() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(pause_after(1.0, pauses[-1]))
    assert pauses[1:] == [0.5, 1, 2, 4, 8, 10, 10]
    assert pause_after(31.0, 10) == 0.5
