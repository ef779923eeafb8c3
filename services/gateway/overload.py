"""What may succeed a moment later, and how long to wait until then."""

from __future__ import annotations

from services.core.errors import ResourceExhausted, Unavailable

RETRY_AFTER_SECONDS = 1  # breakers rest and channels connect again as long


class Overloaded(ResourceExhausted):
    """Too much waits already: the same request may succeed a moment later, unlike one that is too large."""


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, (Overloaded, Unavailable))
