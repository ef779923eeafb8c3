"""How long the fuzzers look: a moment, the same each time, in `make test`; for minutes, anew each time, in `make fuzz`.

Pytest chooses by `--hypothesis-profile=long`, which conftest.py registers before this is imported.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
IS_LONG = settings.get_current_profile_name() == "long"
LOOK = settings(
    max_examples=4000 if IS_LONG else 10,
    derandomize=not IS_LONG,
    database=None,
    deadline=None,
    suppress_health_check=_SLOW,
)
