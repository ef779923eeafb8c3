"""Following a job: its log is told again here, with the bar of a run on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from services.cli.cluster.manifests import JobState, Manifest, has_log, is_heard, state_of, waits_for
from services.core.errors import Unavailable
from services.trainer.progress import RunProgress, tell_again

_PAUSE_SECONDS = 1.0


class JobsAndLogs(Protocol):
    """What is asked of a cluster."""

    def job(self, name: str) -> Manifest:
        """One job."""
        ...

    def pods(self, job: str) -> list[Manifest]:
        """Its pods, oldest first."""
        ...

    def lines(self, pod: str) -> Iterator[str]:
        """A pod's log with times."""
        ...


def follow(cluster: JobsAndLogs, name: str, progress: RunProgress, sleep: Callable[[float], None]) -> Manifest:
    """Tell `progress` what the job's pods say until the job ends; returns the Job as it ended.

    A lost connection is made again, as long as it takes: the job goes on meanwhile. Raises NotFound when it is removed.
    """
    told: dict[str, Unheard] = {}
    last = ""
    while True:
        try:
            job = cluster.job(name)  # before its log, so that of a job that has ended all is read
            said = _hear(cluster, name, told, progress)
        except Unavailable as error:
            job, said = {}, f"connection lost, trying again: {error.message}"
        if state_of(job).is_end:
            return job
        if said and said != last:
            progress.step(said)
        last = said
        sleep(_PAUSE_SECONDS)


def _hear(cluster: JobsAndLogs, name: str, told: dict[str, Unheard], progress: RunProgress) -> str:
    """Read the pods' logs to their ends; what the last pod waits for, if it has none."""
    waiting = ""
    for pod in cluster.pods(name):
        if not has_log(pod):
            waiting = f"{JobState.WAITING}: {waits_for(pod)}" if waits_for(pod) else ""
            continue
        if not is_heard(pod):
            continue
        unheard = told.setdefault(pod["metadata"]["name"], Unheard())
        for line in cluster.lines(pod["metadata"]["name"]):
            if (text := unheard(line)) is not None:
                tell_again(text, progress)
    return waiting


class Unheard:
    """Passes over lines of a log that is read again from its start.

    By their times, which the kubelet writes to the nanosecond, because it throws the oldest lines of a long log away.
    """

    def __init__(self) -> None:
        self._moment: datetime | None = None
        self._at_moment: set[str] = set()

    def __call__(self, line: str) -> str | None:
        """The text of `<RFC 3339 time> <text>`; None if it was heard before."""
        stamp, _, text = line.partition(" ")
        moment = datetime.fromisoformat(stamp)  # to the microsecond, in which there may be several lines
        if self._moment is not None and (moment < self._moment or line in self._at_moment):
            return None
        if moment != self._moment:
            self._moment, self._at_moment = moment, set()
        self._at_moment.add(line)
        return text
