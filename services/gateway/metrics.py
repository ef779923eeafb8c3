"""What the gateway counts. Labels are bounded: a model name that is not in the routing table is never one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Outcome:
    """How one request ended: its door (rest, tfs, openai, ...) and operation, the model as written, the code's name."""

    door: str
    operation: str
    model: str
    code: str
    seconds: float


class Metrics:
    """Owns the collectors of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._known: frozenset[str] = frozenset()
        prefix = "tensorgate_gateway"
        self._requests = Counter(
            f"{prefix}_requests",
            "Requests by door, operation, model and code.",
            ("door", "operation", "model", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            f"{prefix}_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("door", "operation", "model"),
            registry=registry,
            buckets=_SECONDS,
        )
        self._rows = Histogram(
            f"{prefix}_batch_rows",
            "Rows in one call of the model server.",
            ("model",),
            registry=registry,
            buckets=_ROWS,
        )
        self._up = Gauge(
            f"{prefix}_model_server_up",
            "1 when the model server answered the last poll.",
            registry=registry,
            multiprocess_mode="livemin",  # of several workers: 0 if one of them gets no answer
        )
        ProcessCollector(registry=registry)
        self._children = cache(self._labelled)  # finding a child by its labels is slow, and the labels are few

    def models(self, names: frozenset[str], reachable: bool) -> None:
        """The routing table changed: these names may be labels now."""
        self._known = names
        self._up.set(reachable)

    def request(self, outcome: Outcome) -> None:
        """Count one answered request."""
        model = outcome.model if not outcome.model or outcome.model in self._known else UNKNOWN
        counter, histogram = self._children(outcome.door, outcome.operation, model, outcome.code)
        counter.inc()
        histogram.observe(outcome.seconds)

    def _labelled(self, door: str, operation: str, model: str, code: str) -> tuple[Counter, Histogram]:
        return (
            self._requests.labels(door, operation, model, code),
            self._seconds.labels(door, operation, model),
        )

    def call(self, model: str, rows: int) -> None:
        """Count one call of the model server."""
        self._rows.labels(model).observe(rows)
