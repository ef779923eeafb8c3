"""A mirror's folder with a cache of its own."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from services.mirror.cache import Cache
from services.mirror.folder import MirrorFolder
from services.mirror.metrics import CacheMetrics


def open_cache(root: Path, most_bytes: int | None = None, registry: CollectorRegistry | None = None) -> Cache:
    """It counts in the registry, if somebody wants to know."""
    return Cache(root, most_bytes, CacheMetrics(registry or CollectorRegistry()))


def mirror_folder(root: Path, most_bytes: int | None = None, registry: CollectorRegistry | None = None) -> MirrorFolder:
    """As `python -m services.mirror` makes it when nothing names another cache."""
    return MirrorFolder(root, open_cache(root / ".cache", most_bytes, registry))
