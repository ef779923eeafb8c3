"""The loop: look at the store, the folder and the model server; decide; act; wait a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.core.errors import DataLoss, NotFound, TensorgateError, Unavailable
from services.mirror.folder import MirrorFolder
from services.mirror.metrics import MirrorMetrics
from services.mirror.model_server import ModelServer, State
from services.mirror.plan import AVAILABLE, Key, Plan, Served, View, plan
from services.store import Store

_log = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 5.0
_LAST_RETRY_SECONDS = 300.0


@dataclass
class _HeldBack:
    """A version that failed: how often, until when it is left alone, and why."""

    times: int
    until: float
    reason: str


@dataclass
class Mirror:
    """Owns the folder. `clock` is monotonic, in seconds; `wall` is the time of day for metrics."""

    store: Store
    folder: MirrorFolder
    model_server: ModelServer
    metrics: MirrorMetrics
    grace_seconds: float
    clock: Callable[[], float]
    wall: Callable[[], float]
    _fetching: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    _held_back: dict[Key, _HeldBack] = field(default_factory=dict)
    _replaced: Mapping[Key, float] = field(default_factory=dict)
    _current: set[Key] = field(default_factory=set)
    _asked: Mapping[str, Served] | None = None

    async def run(self, stop: asyncio.Event, poll_seconds: float) -> None:
        """Repeat `look_and_act` until told to stop; a store or model server out of reach is waited for."""
        while not stop.is_set():
            try:
                await self.look_and_act()
            except Unavailable as error:
                self.metrics.failures.labels("reach").inc()
                _log.warning("waiting: %s", error.message)
            try:
                await asyncio.wait_for(stop.wait(), poll_seconds)
            except TimeoutError:
                continue
        for task in self._fetching.values():
            task.cancel()
        await asyncio.gather(*self._fetching.values(), return_exceptions=True)

    async def look_and_act(self) -> None:
        """One pass. Raises Unavailable when the store or the model server is out of reach; then nothing was changed."""
        labels = await asyncio.to_thread(self._read_labels)
        here = set(self.folder.versions())
        known = set(labels) | {model for model, _ in here} | set(self._asked or ())
        states = await self.model_server.states(sorted(known))
        self._note_load_failures(states)
        view = View(
            now=self.clock(),
            labels=labels,
            on_disk=await self._only_current(here, labels),
            states={key: state.name for key, state in states.items()},
            held_back={key: held.until for key, held in self._held_back.items()},
            replaced=self._replaced,
        )
        await self._act(plan(view, self.grace_seconds), view)
        self._count(view)

    def _read_labels(self) -> Mapping[str, Mapping[str, int]]:
        return {model: self.store.labels(model) for model in self.store.models()}

    async def _only_current(self, here: set[Key], labels: Mapping[str, Mapping[str, int]]) -> set[Key]:
        """What is here and is what the store means; asked once a version, and what is stale is removed."""
        wanted = {(model, version) for model, named in labels.items() for version in named.values()}
        current = set(here)
        for key in sorted((here & wanted) - self._current):
            try:
                if await asyncio.to_thread(self.folder.is_current, self.store, key):
                    self._current.add(key)
                    continue
                _log.warning("%s/%s on disk is not the store's; fetching it again", *key)
                await asyncio.to_thread(self.folder.remove, key)
            except (DataLoss, NotFound) as error:
                self._hold_back(key, error.message, "manifest")
            current.discard(key)
        return current

    async def _act(self, todo: Plan, view: View) -> None:
        for key in todo.fetch - set(self._fetching):
            self._fetching[key] = asyncio.create_task(self._fetch(key), name=f"fetch {key[0]}/{key[1]}")
        missing = {model for model in todo.serve if not any(name == model for name, _ in view.states)}
        if todo.serve != self._asked or missing:
            await self.model_server.reload(
                {model: (self.folder.base_path(model), served) for model, served in todo.serve.items()}
            )
            self._asked = todo.serve
        self._replaced = todo.replaced
        for key in todo.remove:
            await asyncio.to_thread(self.folder.remove, key)
            self._current.discard(key)

    async def _fetch(self, key: Key) -> None:
        """Runs apart, so that a large version does not keep the others waiting."""
        try:
            await asyncio.to_thread(self.folder.fetch, self.store, key)
        except TensorgateError as error:
            self._hold_back(key, error.message, "fetch")
        except OSError as error:
            self._hold_back(key, f"the folder cannot be written: {error.strerror}", "disk")
        else:
            self.metrics.fetched.inc()
            self._current.add(key)
            _log.info("fetched %s/%s", *key)
        finally:
            del self._fetching[key]

    def _note_load_failures(self, states: Mapping[Key, State]) -> None:
        """The server keeps saying how the last attempt ended; it counts while we are asking for the version."""
        asked = {(model, version) for model, served in (self._asked or {}).items() for version in served.versions}
        for key, state in states.items():
            if state.error and state.name == "END" and key in asked:
                self._hold_back(key, state.error, "load")
            elif state.name == AVAILABLE:
                self._held_back.pop(key, None)

    def _hold_back(self, key: Key, reason: str, stage: str) -> None:
        """Leave a version alone for a while, longer each time; the others go on."""
        held = self._held_back.get(key)
        times = held.times + 1 if held else 1
        seconds = min(_FIRST_RETRY_SECONDS * 2 ** (times - 1), _LAST_RETRY_SECONDS)
        self._held_back[key] = _HeldBack(times, self.clock() + seconds, reason)
        self.metrics.failures.labels(stage).inc()
        _log.error("%s/%s cannot be served (%s); trying again in %.0f s: %s", *key, stage, seconds, reason)

    def _count(self, view: View) -> None:
        self.metrics.wanted.set(len(view.wanted))
        self.metrics.available.set(sum(view.states.get(key) == AVAILABLE for key in view.wanted))
        self.metrics.last_pass.set(self.wall())
