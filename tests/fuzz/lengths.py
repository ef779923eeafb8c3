"""How long the fuzzers look: a moment, the same each time, in `make test`; for minutes, anew each time, in `make fuzz`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
SHORT = settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=_SLOW)
LONG = settings(max_examples=4000, database=None, deadline=None, suppress_health_check=_SLOW)


def is_long() -> bool:
    """Whether pytest was told to take its time: `--hypothesis-profile=long`."""
    return settings.get_current_profile_name() == "long"


LOOK = LONG if is_long() else SHORT
