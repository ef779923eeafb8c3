"""What the Prometheus page says, under TensorFlow Serving's metric names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain"
# TensorFlow Serving's buckets: microseconds, 33 of them, each 1.8 times the one before.
_BUCKETS = tuple(10.0 * 1.8**step for step in range(33))
_PREFIX = ":tensorflow:serving:"
# Of TensorFlow Serving's type when the page is written: the library would append _total to a counter's name.
_REQUESTS = f"{_PREFIX}request_count"


class Metrics:
    """Counts and latencies of requests, runs and warm-ups; all latencies in microseconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.requests = Gauge(_REQUESTS, "Requests, by status.", ["model_name", "status"], registry=registry)
        self.request_latency = self._latency("request_latency", "A request, door to door.", "model_name API entrypoint")
        self.runtime_latency = self._latency("runtime_latency", "Decode, run, encode.", "model_name API runtime")
        self.warmup_latency = self._latency("model_warmup_latency", "Warm-up of a version.", "model_path status")

    def _latency(self, name: str, about: str, labels: str) -> Histogram:
        return Histogram(f"{_PREFIX}{name}", about, labels.split(), buckets=_BUCKETS, registry=self._registry)

    def page(self) -> bytes:
        """The page in Prometheus's text format."""
        page = generate_latest(self._registry)
        return page.replace(f"# TYPE {_REQUESTS} gauge".encode(), f"# TYPE {_REQUESTS} counter".encode())
