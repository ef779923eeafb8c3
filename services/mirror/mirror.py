"""The loop: look at the store, the folder and the model server; decide; act; wait a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from services.core.errors import TensorgateError, Unavailable
from services.core.turns import AVAILABLE
from services.mirror.folder import MirrorFolder
from services.mirror.metrics import MirrorMetrics
from services.mirror.model_server import ModelServer, State
from services.mirror.plan import Key, Plan, Served, View, is_ready, plan
from services.mirror.wishes import ALL, Choice, Wishes, read_wishes
from services.store import LabelWatch, Store

_log = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 5.0
_LAST_RETRY_SECONDS = 300.0
# TensorFlow Serving looks at a new config every 100 ms; until then it tells how the last attempt ended.
_SETTLING_SECONDS = 1.0
# Each uses threads of the pool that reading labels needs too.
_FETCHES_AT_ONCE = 4


@dataclass
class _HeldBack:
    """A version that failed: how often, and until when it is left alone."""

    times: int
    until: float


@dataclass
class Mirror:
    """Owns the folder. `clock` is monotonic, in seconds; `wall` is the time of day for metrics. `ready` is for probes:
    whether requests shall come to the model server.
    """

    store: Store
    folder: MirrorFolder
    model_server: ModelServer
    metrics: MirrorMetrics
    grace_seconds: float
    clock: Callable[[], float]
    wall: Callable[[], float]
    models: Choice = ALL
    ready: bool = False
    _watch: LabelWatch = field(init=False)
    _wishes: Wishes = field(default_factory=Wishes)
    _fetching: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_FETCHES_AT_ONCE))
    _held_back: dict[Key, _HeldBack] = field(default_factory=dict)
    _replaced: Mapping[Key, float] = field(default_factory=dict)
    _current: set[Key] = field(default_factory=set)
    _asked: Mapping[str, Served] | None = None
    _asked_since: Mapping[Key, float] = field(default_factory=dict)
    _untidy: bool = True
    _loading: set[Key] = field(default_factory=set)
    _missing_since: Mapping[Key, float] = field(default_factory=dict)
    _troubles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._watch = self.store.watch_labels()

    async def run(self, poll_seconds: float) -> None:
        """Repeat `look_and_act` until cancelled; what is out of reach or broken is waited for."""
        try:
            while True:
                try:
                    await self.look_and_act()
                    self._note("mirroring", None, "reach")
                except TensorgateError as error:
                    self._note("mirroring", error.message, "reach")
                except OSError as error:
                    self._note("mirroring", f"the folder cannot be used: {error}", "disk")
                await asyncio.sleep(poll_seconds)
        finally:
            for task in self._fetching.values():
                task.cancel()
            await asyncio.gather(*self._fetching.values(), return_exceptions=True)

    async def look_and_act(self) -> None:
        """One pass. Raises the model server's error when it cannot be asked, OSError when the folder is not usable."""
        served = {model for model, _ in self.folder.versions()} | set(self._asked or ())
        self._wishes = (await asyncio.to_thread(read_wishes, self._watch, self._wishes, served)).of(self.models)
        self._note_unread(served)
        try:
            states = await self.model_server.states(self._expected(served | set(self._wishes.labels)))
        except TensorgateError:
            self.ready = False
            raise
        self._time_loads(states)
        self._note_load_failures(states)
        here, fetching = set(self.folder.versions()), frozenset(self._fetching)  # at one moment: no await between
        view = View(
            now=self.clock(),
            labels=self._wishes.labels,
            on_disk=await self._only_current(here),
            states={key: state.name for key, state in states.items()},
            held_back={key: held.until for key, held in self._held_back.items()},
            replaced=self._replaced,
            unread=self._wishes.unread.keys(),
            fetching=fetching,
        )
        await self._act(plan(view, self.grace_seconds), view)
        self.ready = is_ready(view, self.ready, store_is_read=self._wishes.trouble is None)
        self._count(view)

    def _expected(self, models: Set[str]) -> Mapping[str, Set[int]]:
        """Which versions of these models the server was last told to have."""
        asked = self._asked or {}
        return {model: asked[model].versions if model in asked else frozenset() for model in models}

    async def _only_current(self, here: set[Key]) -> set[Key]:
        """What is here and is what the store means; asked once a version, and what is stale is removed.

        What the store can say nothing about stays: a version that is here was whole when it came.
        """
        current = set(here)
        labels, unread = self._wishes.labels, self._wishes.unread
        wanted = {(model, number) for model in labels.keys() - unread for number in labels[model].values()}
        for key in sorted((here & wanted) - self._current):
            subject = "comparing {}/{} with the store".format(*key)
            try:
                is_current = await asyncio.to_thread(self.folder.is_current, self.store, key)
            except TensorgateError as error:
                self._note(subject, error.message, "manifest")
                continue
            self._note(subject, None, "manifest")
            if is_current:
                self._current.add(key)
                continue
            _log.warning("%s/%s on disk is not the store's; fetching it again", *key)
            await asyncio.to_thread(self.folder.remove, key)
            current.discard(key)
        return current

    async def _act(self, todo: Plan, view: View) -> None:
        for key in todo.fetch:
            self._fetching[key] = asyncio.create_task(self._fetch(key), name=f"fetch {key[0]}/{key[1]}")
        known = {model for model, _ in view.states}
        if todo.serve != self._asked or not todo.serve.keys() <= known:
            await self.model_server.reload(
                {model: (self.folder.base_path(model), served) for model, served in todo.serve.items()}
            )
            self._asked = todo.serve
            keys = [(model, version) for model, served in todo.serve.items() for version in served.versions]
            self._asked_since = {key: self._asked_since.get(key, self.clock()) for key in keys}
            self._loading &= set(keys)
            self._loading |= {key for key in keys if view.states.get(key) != AVAILABLE}
        self._replaced = todo.replaced
        for key in todo.remove:
            await asyncio.to_thread(self.folder.remove, key)
            self._current.discard(key)
            self._untidy = True
        if self._untidy and view.wanted <= set(view.on_disk):  # until then what a killed mirror had brought is needed
            await asyncio.to_thread(self.folder.tidy)
            self._untidy = False

    async def _fetch(self, key: Key) -> None:
        """Runs apart, so that a large version does not keep the others waiting."""
        try:
            async with self._slots:
                began = self.clock()
                await asyncio.to_thread(self.folder.fetch, self.store, key)
        except Unavailable as error:  # the version is not to blame: soon again
            self._hold_back(key, error.message, "reach", times=1)
        except TensorgateError as error:
            self._hold_back(key, error.message, "fetch")
        except OSError as error:
            self._hold_back(key, f"the folder cannot be written: {error.strerror}", "disk")
        else:
            self.metrics.fetched.inc()
            self._untidy = True
            self.metrics.fetch_seconds.observe(self.clock() - began)
            self._current.add(key)
            _log.info("fetched %s/%s", *key)
        finally:
            del self._fetching[key]

    def _note_unread(self, served: Set[str]) -> None:
        """One line for a store that cannot be read, however many models it has; else one for each model."""
        trouble, unread = self._wishes.trouble, self._wishes.unread
        self._note("reading the store", trouble, "labels")
        for model in served | set(self._wishes.labels) if trouble is None else ():
            self._note(f"reading the labels of {model}", unread.get(model), "labels")

    def _time_loads(self, states: Mapping[Key, State]) -> None:
        for key in [key for key in self._loading if key in states and states[key].name == AVAILABLE]:
            self._loading.discard(key)
            self.metrics.load_seconds.observe(self.clock() - self._asked_since[key])

    def _note_load_failures(self, states: Mapping[Key, State]) -> None:
        """The server keeps saying how the last attempt ended; it counts while we are asking for the version."""
        for key, state in states.items():
            if state.name == AVAILABLE:
                self._held_back.pop(key, None)
            elif state.error and state.name == "END" and key in self._asked_since:
                held = self._held_back.get(key)
                if self.clock() >= max(self._asked_since[key] + _SETTLING_SECONDS, held.until if held else 0.0):
                    self._hold_back(key, state.error, "load")

    def _hold_back(self, key: Key, reason: str, stage: str, times: int | None = None) -> None:
        """Leave a version alone for a while, longer each time; the others go on."""
        held = self._held_back.get(key)
        times = times or (held.times + 1 if held else 1)
        seconds = min(_FIRST_RETRY_SECONDS * 2 ** (times - 1), _LAST_RETRY_SECONDS)
        self._held_back[key] = _HeldBack(times, self.clock() + seconds)
        self.metrics.failures.labels(stage).inc()
        _log.error("%s/%s cannot be served (%s); trying again in %.0f s: %s", *key, stage, seconds, reason)

    def _note(self, subject: str, trouble: str | None, stage: str) -> None:
        """Log and count a trouble that lasts once, and once that it is over."""
        if trouble is None:
            if self._troubles.pop(subject, None) is not None:
                _log.info("%s: well again", subject)
        elif self._troubles.get(subject) != trouble:
            self._troubles[subject] = trouble
            self.metrics.failures.labels(stage).inc()
            _log.warning("%s: %s", subject, trouble)

    def _count(self, view: View) -> None:
        missing = {key for key in view.wanted if view.states.get(key) != AVAILABLE}
        self._missing_since = {key: self._missing_since.get(key, view.now) for key in missing}
        self.metrics.wanted.set(len(view.wanted))
        self.metrics.available.set(len(view.wanted) - len(missing))
        self.metrics.failing.set(len(missing & view.held_back.keys()))
        self.metrics.lag.set(view.now - min(self._missing_since.values(), default=view.now))
        self.metrics.last_pass.set(self.wall())
        if self._wishes.trouble is None:
            self.metrics.store_read.set(self.wall())
