"""What the mirror counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class MirrorMetrics:
    """Metrics in a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fetched = Counter(
            "tensorgate_mirror_fetched_versions_total", "Versions brought into the folder.", registry=registry
        )
        self.failures = Counter(
            "tensorgate_mirror_failures_total", "Faults, by what failed.", ["stage"], registry=registry
        )
        self.wanted = Gauge("tensorgate_mirror_wanted_versions", "Versions that labels point at.", registry=registry)
        self.available = Gauge(
            "tensorgate_mirror_available_versions",
            "Wanted versions that are AVAILABLE.",
            registry=registry,
        )
        self.last_pass = Gauge(
            "tensorgate_mirror_last_pass_timestamp_seconds",
            "When store and model server were last both seen.",
            registry=registry,
        )
