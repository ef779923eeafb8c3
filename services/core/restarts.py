"""When a process that has died is started again."""

from __future__ import annotations

_FIRST_SECONDS = 0.5
_LAST_SECONDS = 10.0
_LONG_LIVED_SECONDS = 30.0


def pause_after(lived_seconds: float, paused_seconds: float) -> float:
    """The seconds to wait now, if it lived so long and the wait before that was so long (0: none).

    Twice as long each time, so that what cannot start does not keep the machine busy; what has lived long begins anew.
    """
    if lived_seconds > _LONG_LIVED_SECONDS or not paused_seconds:
        return _FIRST_SECONDS
    return min(2 * paused_seconds, _LAST_SECONDS)
