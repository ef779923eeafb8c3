"""Which names the pages tell that Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

import yaml
from prometheus_client import CollectorRegistry

from services.gateway.gauges import Gauges
from services.gateway.metrics import Metrics
from services.gateway.predictions import Predictions
from services.mirror.metrics import MirrorMetrics
from services.model_server import metrics as model_server
from tests.deploy.manifests import DEPLOY

PROMETHEUS = DEPLOY / "prometheus.yaml"

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}

# Of dcgm-exporter's etc/dcp-metrics-included.csv, which the GPU operator has it collect.
DCGM = {
    *("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_GPU_TEMP"),
    *("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_GPU_UTIL"),
    *("DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED"),
    *("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_DRAM_ACTIVE"),
}


def told_names() -> Set[str]:
    """Of all series, whether they have values yet or not; TensorFlow Serving's as they are relabelled."""
    registries = [CollectorRegistry() for _ in range(3)]
    Metrics(registries[0])
    Gauges(registries[0])
    Predictions(registries[0])
    MirrorMetrics(registries[1])
    model_server.Metrics(registries[2])
    return {relabelled(name) for registry in registries for name in _names(registry)}


def relabelled(name: str) -> str:
    """What Prometheus calls what TensorFlow Serving tells by that name, by the rules of its configuration."""
    jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    for rule in jobs["model-server"]["metric_relabel_configs"]:
        if (matched := re.fullmatch(rule["regex"], name)) is not None:
            name = matched.expand(re.sub(r"\$\{(\d)\}", r"\\\1", rule["replacement"]))
    return name


def _names(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        for suffix in _SUFFIXES[family.type]:
            yield family.name + suffix
