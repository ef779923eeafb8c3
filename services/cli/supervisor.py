"""Keeps a few processes running: starts them, waits until they are ready, restarts what dies, stops them in order."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.core.restarts import pause_after

_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Service:
    """A process that shall always run. It prints one JSON line on standard output when it is ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Supervisor:
    """Owns the processes. Use as an async context manager: leaving it stops them, last started first.

    `environment` is what each process inherits; `say` gets one sentence for each thing a person should know.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._logs = logs
        self._environment = environment
        self._say = say
        self._running: dict[str, _Running] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    async def __aenter__(self) -> Supervisor:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        for name in reversed(self._tasks):
            await self._stop(name)

    def start(self, service: Service) -> None:
        """Keep `service` running from now on."""
        self._running[service.name] = _Running()
        self._tasks[service.name] = asyncio.create_task(self._keep(service), name=service.name)

    async def ready(self, name: str) -> Mapping[str, Any]:
        """Wait until the service has said that it is ready; returns what it said (its ports)."""
        running = self._running[name]
        await running.ready.wait()
        return running.facts

    async def _keep(self, service: Service) -> None:
        pause = 0.0
        clock = asyncio.get_running_loop().time
        while not self._stopping:
            started = clock()
            code = await self._run_once(service)
            if self._stopping:
                return
            log = self._logs / f"{service.name}.log"
            self._say(f"{service.name} stopped with exit code {code}; starting it again (log: {log})")
            pause = pause_after(clock() - started, pause)
            await asyncio.sleep(pause)

    async def _run_once(self, service: Service) -> int:
        running = self._running[service.name]
        with (self._logs / f"{service.name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *_dies_with_us(),
                *service.command,
                env={**self._environment, **service.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us alone, so that the order of stopping is ours
            )
            running.process = process
            assert process.stdout is not None
            async for line in process.stdout:
                if not running.ready.is_set():
                    with suppress(json.JSONDecodeError):
                        running.facts = json.loads(line)
                        running.ready.set()
                log.write(line)
                log.flush()
            return await process.wait()

    async def _stop(self, name: str) -> None:
        process, task = self._running[name].process, self._tasks[name]
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self._say(f"{name} did not stop within {_STOP_SECONDS:.0f} s; killing it")
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _dies_with_us() -> Sequence[str]:
    """A prefix that has the kernel end the process when the supervisor is killed (Linux, util-linux)."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()
