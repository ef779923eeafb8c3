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
_CODE = ("services", "plugins")  # what is written elsewhere, such as results, changes no run


def environment() -> Mapping[str, str]:
    """Versions by name; the git commit too, with `-dirty` where code differs from it, when run from a checkout."""
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
    try:
        return _git("rev-parse", "HEAD") + ("-dirty" if _git("status", "--porcelain", "--", *_CODE) else "")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""


def _git(*words: str) -> str:
    return subprocess.run(("git", "-C", str(_ROOT), *words), capture_output=True, text=True, check=True).stdout.strip()
