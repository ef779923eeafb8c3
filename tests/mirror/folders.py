"""A mirror's folder with a cache of its own."""

from __future__ import annotations

from pathlib import Path

from services.mirror.cache import Cache
from services.mirror.folder import MirrorFolder


def mirror_folder(root: Path, most_bytes: int | None = None) -> MirrorFolder:
    """As `python -m services.mirror` makes it when nothing names another cache."""
    return MirrorFolder(root, Cache(root / ".cache", most_bytes))
