"""How long an event loop's requests wait for what Python does besides."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Mapping

# Of a thousand models the garbage collector would go through what lasts again and again, 80 ms at a time. What it has
# gone through for so long is kept out of its sight from then on.
_OLDEST = 2
_LONG_SECONDS = 0.005
# A thread that works (reads a large body, writes /metrics, looks at the store) keeps the event loop waiting for so long
# each time there is something for it to do. Python's own value is ten times that.
_TURN_SECONDS = 0.0005


def shorten_pauses() -> None:
    """For a process that answers, before the first request: nothing shall take the event loop's time for long."""
    sys.setswitchinterval(_TURN_SECONDS)
    gc.freeze()  # what has been imported and built stays
    began = 0.0

    def went_through(phase: str, about: Mapping[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        elif about["generation"] == _OLDEST and time.perf_counter() - began > _LONG_SECONDS:
            gc.freeze()

    gc.callbacks.append(went_through)
