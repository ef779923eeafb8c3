"""Processes with all that they start: their memory, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers.contender import NotMeasured, Process
from tests.polling import until

STOP_SECONDS = 10
_PROC = Path("/proc")


@dataclass(frozen=True)
class Tree:
    """Running processes, first of each tree; `log` has what they printed."""

    roots: Sequence[subprocess.Popen[bytes]]
    log: Path

    def check(self) -> None:
        """Raises NotMeasured when one has ended."""
        if any(root.poll() is not None for root in self.roots):
            raise NotMeasured(f"it stopped: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of the log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def members(self) -> Sequence[int]:
        """All process numbers, parents before children."""
        children: dict[int, list[int]] = {}
        for folder in _PROC.glob("[0-9]*"):
            with suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(folder.name))
        members = [root.pid for root in self.roots]
        for member in members:
            members.extend(children.get(member, ()))
        return members

    def megabytes(self) -> float:
        """Memory of all of them; what several share counts once (PSS of /proc/PID/smaps_rollup, proc(5))."""
        kilobytes = 0
        for member in self.members():
            with suppress(OSError):
                fields = (_PROC / str(member) / "smaps_rollup").read_text().split("\nPss:")[1].split()
                kilobytes += int(fields[0])
        return kilobytes / 1024

    def stop(self) -> None:
        """Ask all to end, then end what is left."""
        members = self.members()
        for root in self.roots:
            root.terminate()
        with suppress(AssertionError):
            until(lambda: not any(_alive(member) for member in members), STOP_SECONDS)
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        for root in self.roots:
            root.wait()


def _alive(process: int) -> bool:
    """Whether it runs; one that has ended but was not waited for does not."""
    try:
        return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def running(processes: Sequence[Process], folder: Path) -> Iterator[Tree]:
    """The processes, started in `folder`, and stopped at the end."""
    log = folder / "log.txt"
    with log.open("wb") as output:
        roots = [
            subprocess.Popen(
                process.command,
                cwd=folder,
                env=dict(process.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            for process in processes
        ]
    tree = Tree(roots, log)
    try:
        yield tree
    finally:
        tree.stop()
