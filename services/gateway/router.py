"""Keeps the routing table true: asks the store what is wanted and the model servers what is there, again and again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from services.core.errors import DataLoss, NotFound, TensorgateError
from services.core.refs import ModelRef
from services.core.turns import AVAILABLE
from services.gateway.backend import Backend, some_at_once
from services.gateway.caller import visible
from services.gateway.routing_table import (
    NOTHING_READ,
    ModelRoutes,
    RoutingTable,
    Servable,
    merged,
    routed_versions,
)
from services.gateway.server_watch import ServerWatch
from services.store import Store

_log = logging.getLogger(__name__)

_ANSWER_SECONDS = 2.0

Labels = Mapping[str, Mapping[str, int]]
Wanted = Mapping[str, frozenset[int]]
OnTable = Callable[[RoutingTable], Awaitable[None]]


class Router:
    """Owns the routing table; `servers` are asked for what they have. `on_table` hears of each new one.

    `asked` says when each of the `rare` models was last asked for, by the time of day; 0: not since the start.
    """

    def __init__(
        self,
        store: Store,
        servers: Sequence[Backend],
        on_table: OnTable,
        *,
        rare: Collection[str] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.asked = dict.fromkeys(rare, 0.0)
        self._wall = wall
        self._store = store
        self._watch = store.watch_labels()
        self._servers = {server.address: server for server in servers}
        self._on_table = on_table
        self._table = NOTHING_READ
        self._labels: Labels = {}
        self._seen: Mapping[str, object] = {}  # what each model's routes in the table are made from
        self._watches = {server.address: ServerWatch(server) for server in servers}
        self._doubtful: set[str] = set()
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")

    @property
    def table(self) -> RoutingTable:
        """The table of this moment, as far as the caller may know it."""
        return visible(self._table)

    def route(self, ref: ModelRef) -> Servable:
        """The version that answers `ref` now. Raises NotFound or Unavailable."""
        if ref.name in self.asked:
            self.asked[ref.name] = self._wall()
        try:
            return self._table.find(ref)
        except NotFound:
            return visible(self._table).find(ref)  # what it says is here is what the caller may know

    async def run(self, poll_seconds: float) -> None:
        """Refresh for ever."""
        while True:
            try:
                await self.refresh()
            except Exception:  # whatever store or network did, the last table stays and the next poll comes
                _log.exception("the routing table could not be refreshed; the last one stays")
            await asyncio.sleep(poll_seconds)

    async def refresh(self, doubtful: str | None = None) -> None:
        """Return when the table is younger than this call; many callers share one reading.

        The model that is doubtful is asked about for certain; others that are as they shall be, by turns.
        """
        clock = asyncio.get_running_loop().time
        asked = clock()
        if doubtful is not None:
            self._doubtful.add(doubtful)
        async with self._reading:
            if self._read_at >= asked:
                return
            began = clock()
            self._table = await self._read()
            self._read_at = began
            await self._on_table(self._table)

    async def _read(self) -> RoutingTable:
        doubtful, self._doubtful = self._doubtful, set()
        store_read = await self._read_labels()
        wanted = {name: frozenset(labels.values()) for name, labels in self._labels.items()}
        await asyncio.gather(*(watch.look(self._expected(watch, wanted), doubtful) for watch in self._watches.values()))
        answering = {address: bool(watch.answers) for address, watch in self._watches.items()}
        return RoutingTable(await self._models(), answering, store_read=store_read)

    def _expected(self, watch: ServerWatch, wanted: Wanted) -> Wanted:
        """What a server shall have: less the models that it has nothing of and that may be others', who have them or
        need not have them now.
        """
        models = self._table.models

        def may_be_others(name: str, versions: frozenset[int]) -> bool:
            return name in self.asked or (name in models and versions <= models[name].servables.keys())

        return {
            name: frozenset() if not watch.there.get(name) and may_be_others(name, versions) else versions
            for name, versions in wanted.items()
        }

    async def _read_labels(self) -> bool:
        """Whether the store told them."""
        try:
            self._labels = await asyncio.to_thread(self._labels_in_store)
        except (TensorgateError, OSError) as error:
            _log.warning("the store cannot be read, its last known labels stay: %s", error)
            return False
        return True

    def _labels_in_store(self) -> Labels:
        """Labels of every model; one whose labels cannot be read keeps those that were known."""
        seen, labels = self._watch.look(), dict[str, Mapping[str, int]]()
        for name in self._store.models():
            read = seen.get(name, {})
            if not isinstance(read, DataLoss):
                labels[name] = read
                continue
            _log.warning("the labels of %s cannot be read: %s", name, read)
            if name in self._labels:
                labels[name] = self._labels[name]
        return labels

    async def _models(self) -> dict[str, ModelRoutes]:
        """Of every model; made anew for those of which store or servers say something else than before."""
        there = [watch.there for watch in self._watches.values()]
        seen = {name: (labels, [states.get(name) for states in there]) for name, labels in self._labels.items()}
        models = self._table.models
        stay = {name for name, now in seen.items() if now == self._seen.get(name) and not models[name].faults}
        changed = [name for name in seen if name not in stay]
        made = dict(zip(changed, await some_at_once(self._model, changed), strict=True))
        self._seen = seen
        return {name: made[name] if name in made else models[name] for name in seen}

    async def _model(self, name: str) -> ModelRoutes:
        states = merged([watch.there.get(name, {}) for watch in self._watches.values()])
        available = [version for version, state in states.items() if state == AVAILABLE]
        found = await asyncio.gather(*(self._servable(name, version) for version in available))
        servables = {item.version: item for item in found if isinstance(item, Servable)}
        faults = {version: item for version, item in zip(available, found, strict=True) if isinstance(item, str)}
        labels, known = self._labels[name], self._table.models.get(name)
        routed = routed_versions(labels, servables, known.routed if known is not None else {})
        return ModelRoutes(name, labels, states, servables, faults, routed, rare=name in self.asked)

    async def _servable(self, name: str, version: int) -> Servable | str:
        """The version with its card and signatures, read once; or why it cannot be called."""
        known = self._table.models.get(name)
        servers = tuple(
            address for address, watch in self._watches.items() if watch.there.get(name, {}).get(version) == AVAILABLE
        )
        if known is not None and version in known.servables:
            servable = known.servables[version]
            return servable if servable.servers == servers else replace(servable, servers=servers)
        try:
            card = await asyncio.to_thread(self._store.card, name, version)
            signatures = await self._signatures(servers, name, version)
        except (TensorgateError, ValidationError, OSError) as error:
            fault = error.message if isinstance(error, DataLoss) else "its card or signatures cannot be read"
            if known is None or known.faults.get(version) != fault:
                _log.warning("version %d of %s cannot be called: %s", version, name, error)
            return fault
        return Servable(name, version, card, signatures, servers)

    async def _signatures(self, servers: Sequence[str], name: str, version: int) -> Mapping[str, Any]:
        """As the first of the servers says that can. Raises what the last one says."""
        *others, last = servers
        for address in others:
            try:
                return await self._servers[address].signature_defs(name, version, _ANSWER_SECONDS)
            except TensorgateError:
                continue
        return await self._servers[last].signature_defs(name, version, _ANSWER_SECONDS)
