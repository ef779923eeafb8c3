"""The manager: keeps every model moving from the versions it has to the versions that are aspired to.

One task a model owns that model's versions; the policy decides, the loader's threads do. All methods belong to the
event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from services.core.errors import Internal, NotFound, TensorgateError, error_of
from services.model_server.policy import Load, Snapshot, State, Unload, next_action
from services.model_server.servable import Servable, give_back_memory

log = logging.getLogger(__name__)

LoadVersion = Callable[[str, int, Path], Servable]
_LOAD_THREADS = 2


@dataclass(frozen=True)
class RetryPolicy:
    """How often a load that failed is tried again, and after how many seconds."""

    retries: int = 5
    interval_seconds: float = 60.0


@dataclass
class Version:
    """One version of one model; `error` says why a load ended it."""

    number: int
    path: Path
    state: State = State.START
    aspired: bool = True
    error: TensorgateError | None = None
    servable: Servable | None = None


@dataclass
class _Model:
    name: str
    versions: dict[int, Version] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Manager:
    """Versions of all models, their states, and the servables that are AVAILABLE."""

    def __init__(self, load: LoadVersion, retry: RetryPolicy) -> None:
        self._load = load
        self._retry = retry
        self._models: dict[str, _Model] = {}
        self._threads = ThreadPoolExecutor(_LOAD_THREADS, thread_name_prefix="load")
        self._state_changed = asyncio.Event()
        self._unloading = 0

    def aspire(self, name: str, paths: Mapping[int, Path]) -> None:
        """State which versions of a model should be up, and where they lie. A version left out is unloaded."""
        if name not in self._models and not paths:
            return
        model = self._models.setdefault(name, _Model(name))
        for version in model.versions.values():
            _set_aspired(version, paths.get(version.number))
        for number in paths.keys() - model.versions.keys():
            model.versions[number] = Version(number, paths[number])
        model.changed.set()
        if model.task is None:
            model.task = asyncio.create_task(self._manage(model), name=f"manage {name}")
            model.task.add_done_callback(_report)

    def servable(self, name: str, number: int | None = None) -> Servable:
        """The version asked for, or the newest. Raises NotFound unless it is AVAILABLE."""
        versions = self._models[name].versions if name in self._models else {}
        if number is not None:
            version = versions.get(number)
            if version is not None and version.state is State.AVAILABLE and version.servable is not None:
                return version.servable
            raise NotFound(f"Servable not found for request: Specific({name}, {number})")
        available = [v for v in versions.values() if v.state is State.AVAILABLE]
        newest = max(available, key=lambda v: v.number, default=None)
        if newest is None or newest.servable is None:
            raise NotFound(f"Servable not found for request: Latest({name})")
        return newest.servable

    def versions(self, name: str) -> list[Version]:
        """All versions this server has had of a model, the newest first."""
        versions = self._models[name].versions.values() if name in self._models else ()
        return sorted(versions, key=lambda version: -version.number)

    async def settled(self, names: Collection[str]) -> list[tuple[str, Version]]:
        """Wait until each model has a version AVAILABLE or only failed ones; return those that failed."""
        while not all(self._is_settled(name) for name in names):
            self._state_changed.clear()
            await self._state_changed.wait()
        failed = [name for name in names if not self._states(name) & {State.AVAILABLE}]
        return [(name, version) for name in sorted(failed) for version in self.versions(name) if version.error]

    def _states(self, name: str) -> set[State]:
        return {version.state for version in self.versions(name) if version.aspired}

    def _is_settled(self, name: str) -> bool:
        states = self._states(name)
        return State.AVAILABLE in states or states == {State.END}

    async def close(self) -> None:
        """Unload everything."""
        for model in self._models.values():
            if model.task is not None:
                model.task.cancel()
        tasks = [model.task for model in self._models.values() if model.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*map(self._unload, _available(self._models.values())))
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _manage(self, model: _Model) -> None:
        while True:
            snapshots = [Snapshot(v.number, v.state, v.aspired) for v in model.versions.values()]
            match next_action(snapshots):
                case Load(number):
                    await self._load_with_retries(model, model.versions[number])
                case Unload(number):
                    await self._unload(model.versions[number])
                case None:
                    model.changed.clear()
                    await model.changed.wait()

    async def _load_with_retries(self, model: _Model, version: Version) -> None:
        self._enter(version, State.LOADING)
        loop = asyncio.get_running_loop()
        for attempt in range(self._retry.retries + 1):
            try:
                version.servable = await loop.run_in_executor(
                    self._threads, self._load, model.name, version.number, version.path
                )
            except Exception as error:  # whatever a model does while it loads ends that version, not this task
                version.error = _told_of(error)
                log.error(
                    "Encountered an error for servable version {name: %s version: %d}: %s: %s",
                    model.name,
                    version.number,
                    version.error.code.name,
                    version.error.message,
                )
            else:
                version.error = None
                self._enter(version, State.AVAILABLE)
                log.info("%s version %d is available", model.name, version.number)
                return
            if attempt < self._retry.retries and not await self._still_aspired(model, version):
                break
        self._enter(version, State.END)

    async def _still_aspired(self, model: _Model, version: Version) -> bool:
        """Wait the retry interval; False at once when the version is no longer wanted."""
        deadline = asyncio.get_running_loop().time() + self._retry.interval_seconds
        while version.aspired:
            model.changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await model.changed.wait()
            except TimeoutError:
                return True
        return False

    async def _unload(self, version: Version) -> None:
        """Hand out no more of the version, wait for those who use it, free it."""
        servable, version.servable = version.servable, None
        self._enter(version, State.UNLOADING)
        if servable is not None:
            self._unloading += 1
            try:
                await asyncio.to_thread(servable.unload)
            finally:
                self._unloading -= 1
            if not self._unloading:  # once for all that go: who wants memory waits meanwhile
                await asyncio.to_thread(give_back_memory)
        self._enter(version, State.START if version.aspired else State.END)

    def _enter(self, version: Version, state: State) -> None:
        version.state = state
        self._state_changed.set()


def _told_of(error: Exception) -> TensorgateError:
    """What is kept of it. The error itself names, by its traceback, all that the load had made."""
    return error_of(error.code, error.message) if isinstance(error, TensorgateError) else Internal(f"{error}")


def _set_aspired(version: Version, path: Path | None) -> None:
    """A version that ended and is wanted anew starts again; one that is unwanted before it started has ended."""
    aspired = path is not None
    if path is not None and version.state not in (State.LOADING, State.AVAILABLE):
        version.path = path
    if aspired and not version.aspired and version.state is State.END:
        version.state, version.error = State.START, None
    if not aspired and version.state is State.START:
        version.state = State.END
    version.aspired = aspired


def _report(task: asyncio.Task[None]) -> None:
    """A model's task goes on until the server stops; the others need not stop when it breaks."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("The task %r broke; its model stays as it is", task.get_name(), exc_info=error)


def _available(models: Iterable[_Model]) -> list[Version]:
    return [v for model in models for v in model.versions.values() if v.state is State.AVAILABLE]
