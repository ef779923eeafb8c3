"""Several gateway processes on the same ports: starts them, starts others for those that die, stops them together.

This process answers nobody and imports little. Ports are shared (SO_REUSEPORT): the kernel deals connections out
evenly, where from one socket the first worker to wake would take all that come together. The sockets for HTTP are
opened here and inherited, so that what waits at one is not lost with its worker: the others take it. gRPC's server can
inherit none. Metrics are counted in files that every worker reads (prometheus-client's multiprocess mode).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client.multiprocess import mark_process_dead
from pydantic import BaseModel

from services.core.errors import FailedPrecondition
from services.core.keys import read_keys
from services.core.restarts import pause_after
from services.core.signals import stop_on_signals
from services.gateway.listeners import Listeners, Ports
from services.gateway.settings import GatewaySettings, worker_environment

_log = logging.getLogger(__name__)

_LEAVE_SECONDS = 5.0  # to end after the time for running requests


class Job(BaseModel):
    """What a worker is told: its number, where to count, the sockets it inherits (file descriptors) and gRPC's port."""

    number: int
    settings: GatewaySettings
    counts: Path
    http: Sequence[int]  # its own is the one with its number
    operations: int | None
    grpc: int

    @property
    def sockets(self) -> Sequence[int]:
        """The file descriptors."""
        return self.http if self.operations is None else (*self.http, self.operations)


async def run_workers(settings: GatewaySettings, listeners: Listeners, listening: Callable[[Ports], None]) -> None:
    """Keep `settings.workers` processes answering until SIGTERM or Ctrl-C. `listening` is called when all do.

    Raises InvalidArgument for a file of keys that is broken, FailedPrecondition for a worker that does not start.
    """
    if settings.keys is not None:
        read_keys(settings.keys)  # or each worker would say it
    stop = asyncio.Event()
    stop_on_signals(stop)
    with TemporaryDirectory(prefix="tensorgate-counts-") as folder:
        workers = [Worker(_job(number, settings, listeners, Path(folder))) for number in range(settings.workers)]
        try:
            async with asyncio.TaskGroup() as tasks:
                kept = [tasks.create_task(worker.keep()) for worker in workers]
                kept.append(tasks.create_task(_announce(workers, lambda: listening(listeners.ports(listeners.grpc)))))
                await stop.wait()
                listeners.close()  # the workers have them, and when the last of these closes, nobody waits in vain
                for task in kept:
                    task.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None


async def _announce(workers: Sequence[Worker], listening: Callable[[], None]) -> None:
    for worker in workers:
        await worker.listening.wait()
    listening()


def _job(number: int, settings: GatewaySettings, listeners: Listeners, counts: Path) -> Job:
    operations = None if listeners.operations is None else listeners.operations.fileno()
    return Job(
        number=number,
        settings=settings,
        counts=counts,
        http=[listener.fileno() for listener in (listeners.http, *listeners.neighbours)],
        operations=operations,
        grpc=listeners.grpc,
    )


class Worker:
    """One place among the workers, and the process that has it now."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._environment: Mapping[str, str] = worker_environment(job.counts)
        self.listening = asyncio.Event()  # set for good by the first process that listens

    async def keep(self) -> None:
        """Have a process there until cancelled, then stop it. Raises FailedPrecondition if the first does not start."""
        clock = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            began = clock()
            code = await self._run()
            if not self.listening.is_set():
                raise FailedPrecondition(
                    f"A worker of the gateway listens before it ends. Received: exit code {code}, for the reason above"
                )
            # Its gauges go, what it counted stays.
            mark_process_dead(self._job.number, str(self._job.counts))  # type: ignore[no-untyped-call]  # no types there
            pause = pause_after(clock() - began, pause)
            _log.error("worker %d ended with exit code %d; another starts in %g s", self._job.number, code, pause)
            await asyncio.sleep(pause)

    async def _run(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.gateway.process", self._job.model_dump_json()),
            stdin=PIPE,  # ends when we do, however that comes about
            stdout=PIPE,
            pass_fds=self._job.sockets,
            env=self._environment,
        )
        assert process.stdout is not None
        try:
            if await process.stdout.readline():
                self.listening.set()
            return await process.wait()
        finally:
            await self._stop(process)

    async def _stop(self, process: Process) -> None:
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._job.settings.drain_seconds + _LEAVE_SECONDS)
        except TimeoutError:
            _log.error("worker %d did not stop in time; it is killed", self._job.number)
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
