"""What the gateway counts. Labels are bounded: a model name that is not in the routing table is never one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.core.card import Task
from services.gateway.routing_table import Servable

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
        self._add_calls(prefix)
        self._add_pieces(prefix)
        Counter(
            f"{prefix}_starts", "Processes that began; a worker that dies has another begin.", registry=registry
        ).inc()
        ProcessCollector(registry=registry)
        # Finding a child by its labels is slow, and the labels are few.
        self._children = cache(self._labelled)
        self._of_version = cache(self._labelled_by_version)
        self._stage = cache(self._stages.labels)
        self._wrote = cache(self._characters.labels)

    def _add_calls(self, prefix: str) -> None:
        """Of calls of model servers, and of what comes before them."""
        self._rows = Histogram(
            f"{prefix}_batch_rows",
            "Rows in one call of the model server.",
            ("model",),
            registry=self.registry,
            buckets=_ROWS,
        )
        self._version_rows = Counter(
            f"{prefix}_rows", "Rows that were asked of a version.", ("model", "version"), registry=self.registry
        )
        self._stages = Histogram(
            f"{prefix}_stage_seconds",
            "Of a request's time: it waits for a batch to leave (queue) or for a model server with a free slot (slot), "
            "or is one call that it answers (call). Who need not wait is not counted.",
            ("model", "stage"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._retries = Counter(f"{prefix}_retries", "Calls sent again, by code.", ("code",), registry=self.registry)
        self._hedges = Counter(f"{prefix}_hedges", "Calls sent to a second server, too.", registry=self.registry)
        self._shed = Counter(
            f"{prefix}_shed",
            "Refused at once: batching's queue or the one for slots is full, or all breakers are open.",
            ("reason",),
            registry=self.registry,
        )

    def _add_pieces(self, prefix: str) -> None:
        """Of what is made piece by piece."""
        self._streams = Gauge(
            f"{prefix}_streams",
            "Texts and pictures that are being made piece by piece.",
            ("task",),
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._characters = Counter(
            f"{prefix}_text_characters", "Characters that models wrote.", ("model",), registry=self.registry
        )
        self._first_text = Histogram(
            f"{prefix}_first_text_seconds",
            "From a prompt to its first characters, where somebody reads along.",
            ("model",),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._picture_steps = Counter(
            f"{prefix}_picture_steps",
            "Steps that were asked of models that draw slice by slice, in whatever each counts.",
            ("model",),
            registry=self.registry,
        )

    def models(self, names: frozenset[str]) -> None:
        """The routing table changed: these names may be labels now."""
        self._known = names

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

    def _labelled_by_version(self, name: str, version: int) -> tuple[Histogram, Counter]:
        return self._rows.labels(name), self._version_rows.labels(name, version)

    def call(self, servable: Servable, rows: int) -> None:
        """Count one call of the model server."""
        batches, total = self._of_version(servable.name, servable.version)
        batches.observe(rows)
        total.inc(rows)

    def spent(self, model: str, stage: str, seconds: float) -> None:
        """Time of one stage: `queue`, `slot` or `call`."""
        self._stage(model, stage).observe(seconds)

    def making(self, task: Task) -> AbstractContextManager[None]:
        """Around a text or a picture that is made piece by piece."""
        return self._streams.labels(task.value).track_inprogress()

    def wrote(self, model: str, characters: int) -> None:
        """Count a piece of text."""
        self._wrote(model).inc(characters)

    def first_text(self, model: str, seconds: float) -> None:
        """The first piece for somebody who reads along."""
        self._first_text.labels(model).observe(seconds)

    def drew(self, model: str, steps: int) -> None:
        """Count a slice of a picture by its steps."""
        self._picture_steps.labels(model).inc(steps)

    def retry(self, code: str) -> None:
        """Count one call that is sent again."""
        self._retries.labels(code).inc()

    def hedge(self) -> None:
        """Count one call that is sent to a second server, too."""
        self._hedges.inc()

    def shed(self, reason: str) -> None:
        """Count one refusal: `queue`, `slots` or `breaker`."""
        self._shed.labels(reason).inc()
