"""What the gateway counts. Labels are bounded: a model name that is not in the routing table is never one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.core.card import Task
from services.gateway.breaker import BreakerState
from services.gateway.routing_table import ModelRoutes, RoutingTable, Servable

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


@dataclass(frozen=True)
class Load:
    """What is under way at a poll: requests by protocol, and those that wait for a batch to leave, by model."""

    running: Mapping[str, int]
    queued: Mapping[str, int]


class Metrics:
    """Owns the collectors of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._known: Mapping[str, ModelRoutes] = {}
        self._told: dict[str, tuple[Mapping[str, int], Mapping[str, int], int]] = {}
        self._queued: Mapping[str, int] = {}
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
        self._version_rows = Counter(
            f"{prefix}_rows", "Rows that were asked of a version.", ("model", "version"), registry=registry
        )
        self._stages = Histogram(
            f"{prefix}_stage_seconds",
            "Of a request's time: it waits for a batch to leave (queue) or for a model server with a free slot (slot), "
            "or is one call that it answers (call). Who need not wait is not counted.",
            ("model", "stage"),
            registry=registry,
            buckets=_SECONDS,
        )
        self._add_servers(f"{prefix}_model_server")
        self._add_pieces(prefix)
        self._add_load(prefix)
        self._add_models(prefix)
        self._retries = Counter(f"{prefix}_retries", "Calls sent again, by code.", ("code",), registry=registry)
        self._hedges = Counter(f"{prefix}_hedges", "Calls sent to a second server, too.", registry=registry)
        self._shed = Counter(
            f"{prefix}_shed",
            "Refused at once: batching's queue or the one for slots is full, or all breakers are open.",
            ("reason",),
            registry=registry,
        )
        Counter(
            f"{prefix}_starts", "Processes that began; a worker that dies has another begin.", registry=registry
        ).inc()
        ProcessCollector(registry=registry)
        # Finding a child by its labels is slow, and the labels are few.
        self._children = cache(self._labelled)
        self._of_version = cache(self._labelled_by_version)
        self._stage = cache(self._stages.labels)
        self._wrote = cache(self._characters.labels)

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

    def _add_load(self, prefix: str) -> None:
        """What is under way at the last poll."""
        self._running = Gauge(
            f"{prefix}_requests_in_flight",
            "Requests under way at the last poll.",
            ("protocol",),
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            f"{prefix}_queued_requests",
            "Requests that wait for a batch to leave, at the last poll.",
            ("model",),
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def _add_models(self, prefix: str) -> None:
        """Versions as the routing table has them; of several workers' the one that lags most."""
        self._wanted = Gauge(
            f"{prefix}_wanted_version",
            "The version a label points at; 0 when there is no such label any more.",
            ("model", "label"),
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._routed = Gauge(
            f"{prefix}_routed_version",
            "The version that answers for a label now; another one than wanted while a roll-out is under way.",
            ("model", "label"),
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._callable = Gauge(
            f"{prefix}_callable_versions",
            "Versions that can be called.",
            ("model",),
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._store_read = Gauge(
            f"{prefix}_store_read_timestamp_seconds",
            "When the labels were last read from the store.",
            registry=self.registry,
            multiprocess_mode="livemin",
        )

    def table(self, table: RoutingTable) -> None:
        """The routing table was read anew: its models may be labels now, and this is how far their roll-outs are."""
        self._known = table.models
        if table.store_read:
            self._store_read.set_to_current_time()
        for name in self._told.keys() | table.models.keys():
            routes = table.models.get(name)
            now = ({}, {}, 0) if routes is None else (routes.labels, routes.routed, len(routes.servables))
            before = self._told.get(name, ({}, {}, -1))
            if now != before:  # most are the same at most polls
                self._tell(name, now, before[0])

    def _tell(self, name: str, now: tuple[Mapping[str, int], Mapping[str, int], int], gone: Mapping[str, int]) -> None:
        labels, routed, versions = self._told[name] = now
        for label in {**gone, **labels}:
            self._wanted.labels(name, label).set(labels.get(label, 0))
            self._routed.labels(name, label).set(routed.get(label, 0))
        self._callable.labels(name).set(versions)
        self._waiting.labels(name)  # 0 until something waits

    def load(self, load: Load) -> None:
        """How much is under way at a poll."""
        for protocol, count in load.running.items():
            self._running.labels(protocol).set(count)
        for model in {**self._queued, **load.queued}:
            self._waiting.labels(model).set(load.queued.get(model, 0))
        self._queued = load.queued

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
