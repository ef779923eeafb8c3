"""A Ray of this machine's that leaves nothing behind."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import ray

from tests.polling import until

_TOKEN = secrets.token_hex(32)  # a process reads it once, however many Rays it starts


@contextmanager
def room_for_ray() -> Iterator[str]:
    """The folder to start a Ray in, and its variables; at the end this process leaves it, and all of it ends."""
    before = signal.getsignal(signal.SIGTERM)  # Ray sets its own
    with TemporaryDirectory(prefix="ray") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", _TOKEN)  # else Ray keeps one in the home folder
        patch.setenv("RAY_USAGE_STATS_ENABLED", "1")
        patch.setenv("TMPDIR", folder)  # of the workers: a killed one leaves its files
        yield folder  # pytest's own is too long a path for Ray's sockets
        ray.shutdown()
        signal.signal(signal.SIGTERM, before)
        until(lambda: not processes_of(folder), seconds=20)


def processes_of(folder: str) -> list[str]:
    """The command lines that name the folder of a Ray."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_text())
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
    return [line for line in lines if folder in line]
