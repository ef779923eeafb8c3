"""Which models a server is asked about at each look: those in motion always, the others by turns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping

States = Mapping[int, str]  # by version, in TensorFlow Serving's words

AVAILABLE = "AVAILABLE"
# With so few models all are asked each time. Of a thousand, twice a second, each comes up every 16 seconds.
AT_REST_AT_ONCE = 32


class Turns:
    """Whose turn it is; owned by one task."""

    def __init__(self) -> None:
        self._last = ""

    def next(self, wanted: Mapping[str, Collection[int]], known: Mapping[str, States]) -> list[str]:
        """The models to ask now: all that may be changing, and the next few of the others.

        `wanted` are the versions that shall be AVAILABLE, `known` what the server has said, both by model.
        """
        resting = sorted(name for name, versions in wanted.items() if is_at_rest(versions, known.get(name)))
        start = bisect_right(resting, self._last)
        turn = (resting[start:] + resting[:start])[:AT_REST_AT_ONCE]
        self._last = turn[-1] if turn else ""
        return [*(wanted.keys() - set(resting)), *turn]


def is_at_rest(wanted: Collection[int], states: States | None) -> bool:
    """Whether a model is as it shall be, so that nothing is to be expected: what is wanted AVAILABLE, all else gone."""
    if states is None:
        return False
    there = {version for version, state in states.items() if state != "END"}
    return there == set(wanted) and all(states[version] == AVAILABLE for version in there)
