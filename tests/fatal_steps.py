"""Kill a process at every change it makes to files, one after the other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

# Python's own audit events, raised just before the change.
_CHANGES = ("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod")
_WRITES = os.O_WRONLY | os.O_RDWR


def die_at_every_change(folder: Path, work: Callable[[], object], check: Callable[[], None]) -> int:
    """Do `work` in child processes; the n-th is killed before its n-th change below `folder`, the last gets through.

    Calls `check` after each and returns how many were killed. It forks: call it in a process without other threads.
    """
    for step in count():
        child = os.fork()
        if not child:
            _die_before_change(step, folder)
            work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        check()
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return step
    raise AssertionError


def _die_before_change(step: int, folder: Path) -> None:
    seen = count()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        if (writes or event in _CHANGES) and str(arguments[0]).startswith(str(folder)) and next(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
