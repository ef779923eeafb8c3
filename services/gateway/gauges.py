"""What the gateway tells of itself at each poll of the model servers: these, what is under way, and the roll-outs.

It is set then and not at each request. Of several workers the one that is worst off tells, or the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from services.gateway.breaker import BreakerState
from services.gateway.routing_table import RoutingTable


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


class Gauges:
    """Owns those of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._told: dict[str, tuple[Mapping[str, int], Mapping[str, int], int]] = {}
        self._queued: Mapping[str, int] = {}
        prefix = "tensorgate_gateway"
        self._add_servers(f"{prefix}_model_server")
        self._add_load(prefix)
        self._add_models(prefix)

    def _add_servers(self, prefix: str) -> None:
        """One line each; of several workers' the one that says most, or the sum."""
        self._up = Gauge(
            f"{prefix}_up",
            "1 when it answered the last poll.",
            ("server",),
            registry=self._registry,
            multiprocess_mode="livemin",  # of several workers: 0 if one of them gets no answer
        )
        self._in_flight = Gauge(
            f"{prefix}_calls_in_flight",
            "Calls under way at the last poll.",
            ("server",),
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._breaker = Gauge(
            f"{prefix}_breaker",
            "At the last poll: 0 closed, 1 the next call finds out, 2 open, so that it gets none.",
            ("server",),
            registry=self._registry,
            multiprocess_mode="livemax",
        )

    def _add_load(self, prefix: str) -> None:
        """What is under way at the last poll."""
        self._running = Gauge(
            f"{prefix}_requests_in_flight",
            "Requests under way at the last poll.",
            ("protocol",),
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            f"{prefix}_queued_requests",
            "Requests that wait for a batch to leave, at the last poll.",
            ("model",),
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def _add_models(self, prefix: str) -> None:
        """Versions as the routing table has them; of several workers' the one that lags most."""
        self._wanted = Gauge(
            f"{prefix}_wanted_version",
            "The version a label points at; 0 when there is no such label any more.",
            ("model", "label"),
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._routed = Gauge(
            f"{prefix}_routed_version",
            "The version that answers for a label now; another one than wanted while a roll-out is under way.",
            ("model", "label"),
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._callable = Gauge(
            f"{prefix}_callable_versions",
            "Versions that can be called.",
            ("model",),
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._asked = Gauge(
            f"{prefix}_rare_model_asked_timestamp_seconds",
            "When a rare model was last asked for; 0: not since the start.",
            ("model",),
            registry=self._registry,
            multiprocess_mode="max",
        )
        self._store_read = Gauge(
            f"{prefix}_store_read_timestamp_seconds",
            "When the labels were last read from the store.",
            registry=self._registry,
            multiprocess_mode="livemin",
        )

    def servers(self, up: Mapping[str, bool], samples: Sequence[ServerSample]) -> None:
        """The model servers at a poll: by address whether each answers, and how it is used."""
        for address, answers in up.items():
            self._up.labels(address).set(answers)
        for sample in samples:
            self._in_flight.labels(sample.address).set(sample.calls)
            self._breaker.labels(sample.address).set(sample.breaker)

    def table(self, table: RoutingTable) -> None:
        """The routing table was read anew: its models may be labels now, and this is how far their roll-outs are."""
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

    def asked(self, when: Mapping[str, float]) -> None:
        """When each rare model was last asked for."""
        for model, seconds in when.items():
            asked = self._asked.labels(model)
            if seconds:  # a worker that was started anew has not, and counts on where the one before was
                asked.set(seconds)

    def load(self, load: Load) -> None:
        """How much is under way at a poll."""
        for protocol, count in load.running.items():
            self._running.labels(protocol).set(count)
        for model in {**self._queued, **load.queued}:
            self._waiting.labels(model).set(load.queued.get(model, 0))
        self._queued = load.queued
