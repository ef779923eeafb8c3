"""What the gateway counts. Labels are bounded: a model name that is not in the routing table is never one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.gateway.breaker import BreakerState

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
UNKNOWN = "unknown"


class Outcome(NamedTuple):
    """How one request ended: its door (rest, tfs, openai, ...) and operation, the model as written, the code's name."""

    door: str
    operation: str
    model: str
    code: str
    seconds: float


@dataclass(frozen=True)
class ServerSample:
    """One model server by its address in the settings: calls under way there, and its breaker."""

    address: str
    calls: int
    breaker: BreakerState


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
        self._add_servers(f"{prefix}_model_server")
        self._retries = Counter(f"{prefix}_retries", "Calls sent again, by code.", ("code",), registry=registry)
        self._hedges = Counter(f"{prefix}_hedges", "Calls sent to a second server, too.", registry=registry)
        self._shed = Counter(
            f"{prefix}_shed",
            "Refused at once: batching's queue or the one for slots is full, or all breakers are open.",
            ("reason",),
            registry=registry,
        )
        ProcessCollector(registry=registry)
        self._children = cache(self._labelled)  # finding a child by its labels is slow, and the labels are few

    def _add_servers(self, prefix: str) -> None:
        """One line each; of several workers' the one that says most, or the sum."""
        self._up = Gauge(
            f"{prefix}_up",
            "1 when it answered the last poll.",
            ("server",),
            registry=self.registry,
            multiprocess_mode="livemin",  # of several workers: 0 if one of them gets no answer
        )
        self._in_flight = Gauge(
            f"{prefix}_calls_in_flight",
            "Calls under way at the last poll.",
            ("server",),
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._breaker = Gauge(
            f"{prefix}_breaker",
            "At the last poll: 0 closed, 1 the next call finds out, 2 open, so that it gets none.",
            ("server",),
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def models(self, names: frozenset[str]) -> None:
        """The routing table changed: these names may be labels now."""
        self._known = names

    def servers(self, up: Mapping[str, bool], samples: Sequence[ServerSample]) -> None:
        """The model servers at a poll: by address whether each answers, and how it is used."""
        for address, answers in up.items():
            self._up.labels(address).set(answers)
        for sample in samples:
            self._in_flight.labels(sample.address).set(sample.calls)
            self._breaker.labels(sample.address).set(sample.breaker)

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

    def retry(self, code: str) -> None:
        """Count one call that is sent again."""
        self._retries.labels(code).inc()

    def hedge(self) -> None:
        """Count one call that is sent to a second server, too."""
        self._hedges.inc()

    def shed(self, reason: str) -> None:
        """Count one refusal: `queue`, `slots` or `breaker`."""
        self._shed.labels(reason).inc()
