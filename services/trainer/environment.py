"""Which code a run is made with, and on what."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import keras
import tensorflow as tf

_ROOT = Path(__file__).parent.parent.parent


def environment() -> Mapping[str, str]:
    """Versions by name; the git commit too, with `-dirty` where files differ from it, when run from a checkout."""
    versions = {
        "tensorgate": version("tensorgate"),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    commit = _commit()
    return {**versions, "commit": commit} if commit else versions


def _commit() -> str:
    if not (_ROOT / ".git").exists():  # an installed package may lie in a checkout of something else
        return ""
    command = ("git", "-C", str(_ROOT), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
