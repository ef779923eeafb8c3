"""Stop strings: a text that comes in parts ends before the one that is complete first, or the longest of several.

Which of them begins first would depend on how the text was cut: a part may end with a shorter one inside a longer.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import InvalidArgument, received

MOST_STOPS = 4
LONGEST_STOP = 64


def stops_of(strings: Sequence[str]) -> tuple[str, ...]:
    """The strings, checked. Raises InvalidArgument."""
    if len(strings) > MOST_STOPS or not all(0 < len(string) <= LONGEST_STOP for string in strings):
        raise InvalidArgument(
            f"stop is at most {MOST_STOPS} strings of 1 to {LONGEST_STOP} characters. Received: {received(strings)}"
        )
    return tuple(strings)


class Stops:
    """Reads along with one text. What may be the beginning of a stop string is held back until it is clear."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = strings
        self._held = ""

    def read(self, part: str) -> tuple[str, bool]:
        """What may be told after this part, and whether the text ends there."""
        text = self._held + part
        found = [(place + len(string), place) for string in self._strings if (place := text.find(string)) >= 0]
        if found:
            self._held = ""
            return text[: min(found)[1]], True
        kept = max((_overlap(text, string) for string in self._strings), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], False

    def rest(self) -> str:
        """What was held back, for a text that ended for another reason."""
        return self._held


def _overlap(text: str, string: str) -> int:
    """How many of the text's last characters begin the string."""
    return next(size for size in range(min(len(string) - 1, len(text)), -1, -1) if text.endswith(string[:size]))
