"""What the mirror counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class CacheMetrics:
    """Of the files by their hash. Mirrors that share a cache all tell the same of its bytes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        files = Counter(
            "tensorgate_mirror_files_total",
            "Files of versions that were brought, by whether they were in the cache or came from the store.",
            ["source"],
            registry=registry,
        )
        self.hits, self.fetched = files.labels("cache"), files.labels("store")
        self.evicted = Counter(
            "tensorgate_mirror_evicted_files_total",
            "Files that left the cache, as no version had them.",
            registry=registry,
        )
        self.taken = Gauge(
            "tensorgate_mirror_cache_bytes",
            "All files of the cache, those that versions have included.",
            registry=registry,
        )
        self.most = Gauge(
            "tensorgate_mirror_cache_limit_bytes", "Most that they may take; +Inf: any.", registry=registry
        )


class MirrorMetrics:
    """Metrics in a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.cache = CacheMetrics(registry)
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
        self.failing = Gauge(
            "tensorgate_mirror_failing_versions",
            "Wanted versions whose last attempt to be fetched or loaded failed.",
            registry=registry,
        )
        self.lag = Gauge(
            "tensorgate_mirror_lag_seconds",
            "For how long the longest of the wanted versions has not been AVAILABLE; 0: all are.",
            registry=registry,
        )
        self.fetch_seconds = Histogram(
            "tensorgate_mirror_fetch_seconds", "To bring one version.", registry=registry, buckets=_SECONDS
        )
        self.load_seconds = Histogram(
            "tensorgate_mirror_load_seconds",
            "From asking the model server for a version to seeing it AVAILABLE and warm.",
            registry=registry,
            buckets=_SECONDS,
        )
        self.store_read = Gauge(
            "tensorgate_mirror_store_read_timestamp_seconds", "When the labels were last read.", registry=registry
        )
        self.last_pass = Gauge(
            "tensorgate_mirror_last_pass_timestamp_seconds",
            "When the model server was last asked, and told what the labels want as far as they are known.",
            registry=registry,
        )
        ProcessCollector(registry=registry)
