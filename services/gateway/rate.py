"""How often a key may ask: a token bucket, as a function on values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from services.core.errors import ResourceExhausted


@dataclass(frozen=True)
class Rate:
    """Requests a second in the long run, and how many may come at once after a pause."""

    per_second: float
    burst: float


class Bucket(NamedTuple):
    """Tokens, each good for one request, and when they were counted, in seconds of a clock that never goes back."""

    tokens: float
    at: float


class RateLimited(ResourceExhausted):
    """A key asks more often than it may; the same request may succeed after `retry_seconds`."""

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


def take(bucket: Bucket, rate: Rate, now: float) -> tuple[Bucket, float]:
    """The bucket after one request, and 0.0; or without it, and the seconds until there is a token for it.

    A bucket gains `per_second` tokens a second and holds `burst` at most (token bucket: RFC 2697, section 3, of bytes).
    """
    tokens = min(rate.burst, bucket.tokens + (now - bucket.at) * rate.per_second)
    if tokens < 1:
        return bucket, (1 - tokens) / rate.per_second
    return Bucket(tokens - 1, now), 0.0
