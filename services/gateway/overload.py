"""What may succeed a moment later, and how long to wait until then."""

from __future__ import annotations

from services.core.errors import ResourceExhausted, Unavailable
from services.gateway.rate import RateLimited

_RETRY_AFTER_SECONDS = 1.0  # breakers rest and channels connect again as long
_START_SECONDS = 30.0  # a pod takes as long, or longer


class Overloaded(ResourceExhausted):
    """Too much waits already: the same request may succeed a moment later, unlike one that is too large."""


class Starting(Unavailable):
    """No model server has a rare model: one is started because it was asked for."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"Model {model} is a rare one: no model server has it until it is asked for, and then one is started; "
            "try again in a minute."
        )


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, (Overloaded, Unavailable))


def seconds_until_retry(error: Exception) -> float | None:
    """When the same request may succeed; None: not by waiting."""
    if isinstance(error, RateLimited):
        return error.retry_seconds
    if isinstance(error, Starting):
        return _START_SECONDS
    return _RETRY_AFTER_SECONDS if is_passing(error) else None
