"""One process that answers: alone, or as one of several workers (`python -m services.gateway.process JOB`)."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvloop
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

from services.core.errors import TensorgateError
from services.core.pauses import shorten_pauses
from services.core.settings import logs_in_json
from services.core.signals import stop_on_signals
from services.core.telemetry import configure_logging
from services.gateway.listeners import Listeners, Ports
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings, TracesSettings
from services.gateway.tracing import open_tracing
from services.gateway.workers import Job
from services.store import open_store

if TYPE_CHECKING:
    from services.gateway.spans import Tracing


def run_alone(settings: GatewaySettings, listeners: Listeners, listening: Callable[[Ports], None]) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    with _traced() as tracing:
        uvloop.run(_run_alone(settings, listeners, listening, tracing=tracing))


@contextmanager
def _traced() -> Iterator[Tracing | None]:
    """What the collector has not got yet is exported at the end."""
    tracing = open_tracing(TracesSettings())
    try:
        yield tracing
    finally:
        if tracing is not None:
            tracing.close()


async def _run_alone(
    settings: GatewaySettings, listeners: Listeners, listening: Callable[[Ports], None], *, tracing: Tracing | None
) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)

    def settled(ports: Ports) -> None:
        shorten_pauses()
        listening(ports)

    gateway = Gateway(settings, open_store(settings.store), CollectorRegistry(), tracing=tracing)
    await gateway.run(listeners, stop, settled)


def main() -> None:
    """Answer until SIGTERM, or until the process that started us is gone: then standard input ends."""
    configure_logging(in_json=logs_in_json())
    job = Job.model_validate_json(sys.argv[1])
    # Counted by number, not by process id: who takes a dead worker's place counts on in its files.
    values.ValueClass = values.MultiProcessValue(lambda: job.number)  # type: ignore[no-untyped-call]  # no types there
    try:
        with _traced() as tracing:
            uvloop.run(_work(job, tracing))
    except TensorgateError as error:
        sys.exit(f"tensorgate gateway: {error}")


async def _work(job: Job, tracing: Tracing | None) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    loop, parent = asyncio.get_running_loop(), sys.stdin.fileno()
    left = asyncio.Event()

    def alone() -> None:
        loop.remove_reader(parent)
        left.set()
        stop.set()

    loop.add_reader(parent, alone)  # nothing is ever written there: it can be read when it ends
    shown = CollectorRegistry()
    MultiProcessCollector(shown, job.counts)  # type: ignore[no-untyped-call]  # no types there
    gateway = Gateway(job.settings, open_store(job.settings.store), CollectorRegistry(), shown=shown, tracing=tracing)
    await gateway.run(_inherited(job), stop, _say)
    if left.is_set():
        shutil.rmtree(job.counts, ignore_errors=True)  # nobody else is there to do it


def _inherited(job: Job) -> Listeners:
    http = [socket.socket(fileno=number) for number in job.http]
    operations = None if job.operations is None else socket.socket(fileno=job.operations)
    return Listeners(http.pop(job.number), operations, job.grpc, shared=True, neighbours=http)


def _say(_: Ports) -> None:
    """One line to our parent; what is printed later goes to the log, where somebody reads it."""
    shorten_pauses()
    print("listening", flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    main()
