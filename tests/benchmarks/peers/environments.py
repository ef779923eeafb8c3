"""A virtual environment for each framework, kept between runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.peers.contender import NotMeasured

STAMP = "built-for.txt"


def environment(folder: Path, requirements: Sequence[str]) -> Path:
    """The `bin` of the environment with these requirements; builds it where `folder` has none, or has another.

    Raises NotMeasured with pip's reason when they cannot be installed.
    """
    wanted = "\n".join((sys.version, *requirements))
    stamp = folder / STAMP
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"building {folder}: {' '.join(requirements)}", flush=True)
        venv.create(folder, with_pip=True)
        _install(folder / "bin" / "python", requirements)
        stamp.write_text(wanted)
    return folder / "bin"


def _install(python: Path, requirements: Sequence[str]) -> None:
    ran = subprocess.run(
        (str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", *requirements),
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        reasons = [line for line in ran.stderr.splitlines() if line.startswith("ERROR:")]
        raise NotMeasured(f"it could not be installed: {reasons[-1] if reasons else ran.stderr[-200:].strip()}")
