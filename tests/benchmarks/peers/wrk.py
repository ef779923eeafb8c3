"""The client: wrk, one thread, over HTTP/1.1 connections that stay open."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers.contender import NotMeasured

SCRIPT = Path(__file__).parent / "post.lua"
LONGEST_SECONDS = 30  # that an answer may take


@dataclass(frozen=True)
class Turn:
    """What one turn of load measured: requests a second, and milliseconds that half and 99 of 100 took at most."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Post:
    """Where to post which body."""

    url: str
    body: Path


def missing() -> str | None:
    """What to do where there is no wrk."""
    return None if shutil.which("wrk") else "The client is wrk, which is not here. On Debian: apt-get install wrk"


def drive(post: Post, connections: int, seconds: int) -> str:
    """Load for so long; what wrk printed. Raises NotMeasured when it could not."""
    ran = subprocess.run(
        (
            *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
            *("--timeout", f"{LONGEST_SECONDS}s", "--script", str(SCRIPT), post.url, "--", str(post.body)),
        ),
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise NotMeasured(f"wrk: {(ran.stderr or ran.stdout).strip()}")
    return ran.stdout


def read(printed: str) -> Turn:
    """The turn that post.lua tells in the last line. Raises NotMeasured where an answer was none."""
    told = json.loads(printed.strip().splitlines()[-1])
    if told["refused"] or told["broken"] or not told["requests"]:
        raise NotMeasured(
            f"of {told['requests']} requests {told['refused']} were refused, {told['broken']} without answer"
        )
    return Turn(told["requests"] / told["microseconds"] * 1e6, told["p50"] / 1000, told["p99"] / 1000)
