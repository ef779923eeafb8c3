"""What may succeed a moment later, and how long to wait until then."""

from __future__ import annotations

from services.core.errors import ResourceExhausted, Unavailable
from services.gateway.rate import RateLimited

_RETRY_AFTER_SECONDS = 1.0  # breakers rest and channels connect again as long


class Overloaded(ResourceExhausted):
    """Too much waits already: the same request may succeed a moment later, unlike one that is too large."""


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, (Overloaded, Unavailable))


def seconds_until_retry(error: Exception) -> float | None:
    """When the same request may succeed; None: not by waiting."""
    if isinstance(error, RateLimited):
        return error.retry_seconds
    return _RETRY_AFTER_SECONDS if is_passing(error) else None
