"""The source: finds the versions that lie below a model's base path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def versions_in(base_path: Path) -> Mapping[int, Path] | None:
    """Version number to folder; None when the base path itself is not there.

    A version is a folder whose name is a whole number, leading zeros allowed (as TensorFlow Serving reads them). None
    and empty differ: a base path out of reach changes nothing, an empty one unloads every version.
    """
    try:
        folders = sorted(child for child in base_path.iterdir() if child.name.isdecimal() and child.is_dir())
    except OSError:
        return None
    return {int(folder.name): folder for folder in reversed(folders)}
