"""Which names the pages tell that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator, Set

from prometheus_client import CollectorRegistry

from services.gateway.gauges import Gauges
from services.gateway.metrics import Metrics
from services.gateway.predictions import Predictions
from services.mirror.metrics import MirrorMetrics
from services.model_server import metrics as model_server

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def told_names() -> Set[str]:
    """Of all series, whether they have values yet or not; TensorFlow Serving's as they are relabelled."""
    registries = [CollectorRegistry() for _ in range(3)]
    Metrics(registries[0])
    Gauges(registries[0])
    Predictions(registries[0])
    MirrorMetrics(registries[1])
    model_server.Metrics(registries[2])
    return {name.lstrip(":").replace(":", "_") for registry in registries for name in _names(registry)}


def _names(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        for suffix in _SUFFIXES[family.type]:
            yield family.name + suffix
