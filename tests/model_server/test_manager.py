"""The manager with a loader that is quick and obedient."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import pytest

from services.core.errors import DataLoss, NotFound
from services.core.tensors import Array
from services.model_server import manager as manager_module
from services.model_server.manager import Manager, RetryPolicy
from services.model_server.policy import State
from services.model_server.servable import Servable

HERE = Path("/here")
THERE = Path("/there")
NO_RETRY = RetryPolicy(retries=0)


class TinySession:
    """Answers with its version; counts as freed once closed."""

    steady: Set[str] = frozenset()

    def __init__(self, version: int) -> None:
        self.version = version
        self.closed = False

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> Sequence[Array]:
        assert not self.closed
        return [np.array(self.version)]

    def close(self) -> None:
        self.closed = True


class TinyLoader:
    """Loads anything but the versions named broken."""

    def __init__(self, broken: frozenset[int] = frozenset()) -> None:
        self.broken = broken
        self.loaded: list[int] = []
        self.folders: list[Path] = []
        self.sessions: dict[int, TinySession] = {}

    def __call__(self, name: str, version: int, folder: Path) -> Servable:
        self.loaded.append(version)
        self.folders.append(folder)
        if version in self.broken:
            raise DataLoss(f"version {version} is broken")
        self.sessions[version] = TinySession(version)
        return Servable(self.sessions[version], {}, threads=2, version=version)


async def _until(manager: Manager, name: str, states: Mapping[int, State]) -> None:
    async with asyncio.timeout(5):
        while {version.number: version.state for version in manager.versions(name)} != states:
            await asyncio.sleep(0.001)


@pytest.mark.anyio
async def test_an_aspired_version_becomes_available_and_an_unwanted_one_is_freed() -> None:
    loader = TinyLoader()
    manager = Manager(loader, NO_RETRY)
    manager.aspire("m", {1: HERE})
    assert await manager.settled(["m"]) == []
    assert manager.servable("m").version == 1
    manager.aspire("m", {2: HERE})
    await _until(manager, "m", {1: State.END, 2: State.AVAILABLE})
    assert loader.sessions[1].closed
    await manager.close()
    assert loader.sessions[2].closed


@pytest.mark.anyio
async def test_the_old_version_serves_when_the_new_one_is_broken() -> None:
    manager = Manager(TinyLoader(broken=frozenset({2})), NO_RETRY)
    manager.aspire("m", {1: HERE})
    await manager.settled(["m"])
    manager.aspire("m", {2: HERE})
    await _until(manager, "m", {1: State.AVAILABLE, 2: State.END})
    assert manager.servable("m").version == 1
    await manager.close()


@pytest.mark.anyio
async def test_unloading_waits_for_running_requests() -> None:
    loader = TinyLoader()
    manager = Manager(loader, NO_RETRY)
    manager.aspire("m", {1: HERE})
    await manager.settled(["m"])
    may_end, began = threading.Event(), threading.Event()

    def work() -> bool:
        began.set()
        may_end.wait(5)
        return loader.sessions[1].closed

    running = asyncio.wrap_future(manager.servable("m").submit(work))
    await asyncio.to_thread(began.wait, 5)
    manager.aspire("m", {})
    await _until(manager, "m", {1: State.UNLOADING})
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(m\)"):
        manager.servable("m")
    may_end.set()
    assert await running is False
    await _until(manager, "m", {1: State.END})
    assert loader.sessions[1].closed
    await manager.close()


@pytest.mark.anyio
async def test_a_failed_load_is_tried_again_and_no_more_once_it_is_unwanted() -> None:
    loader = TinyLoader(broken=frozenset({1}))
    manager = Manager(loader, RetryPolicy(retries=2, interval_seconds=0.01))
    manager.aspire("m", {1: HERE})
    failed = await manager.settled(["m"])
    assert loader.loaded == [1, 1, 1]
    assert [(name, version.number) for name, version in failed] == [("m", 1)]
    patient = Manager(loader, RetryPolicy(retries=2, interval_seconds=3600))
    patient.aspire("m", {1: HERE})
    await _until(patient, "m", {1: State.LOADING})
    patient.aspire("m", {})
    await _until(patient, "m", {1: State.END})
    await manager.close()
    await patient.close()


@pytest.mark.anyio
async def test_memory_is_given_back_once_for_all_that_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    monkeypatch.setattr(manager_module, "give_back_memory", lambda: given.append(True))
    manager = Manager(TinyLoader(), NO_RETRY)
    names = [f"m{number}" for number in range(50)]
    for name in names:
        manager.aspire(name, {1: HERE})
    await manager.settled(names)
    for name in names:
        manager.aspire(name, {})
    for name in names:
        await _until(manager, name, {1: State.END})
    assert given == [True]
    for name in names:
        manager.aspire(name, {1: HERE})
    await manager.settled(names)
    await manager.close()
    assert given == [True, True]


class Weights:
    """Much memory."""


@pytest.mark.anyio
async def test_what_a_failed_load_had_made_goes_at_once() -> None:
    made: list[weakref.ref[Weights]] = []

    def load(name: str, version: int, folder: Path) -> Servable:
        weights = Weights()
        made.append(weakref.ref(weights))
        raise DataLoss(f"version {version} is broken")

    gc.disable()
    try:
        manager = Manager(load, NO_RETRY)
        manager.aspire("m", {1: HERE})
        ((_, failed),) = await manager.settled(["m"])
        assert made[0]() is None
    finally:
        gc.enable()
    assert isinstance(failed.error, DataLoss)
    assert failed.error.message == "version 1 is broken"
    await manager.close()


@pytest.mark.anyio
async def test_a_version_that_is_wanted_again_is_loaded_again_from_where_it_lies_now() -> None:
    loader = TinyLoader()
    manager = Manager(loader, NO_RETRY)
    for paths, states in (({1: HERE}, State.AVAILABLE), ({}, State.END), ({1: THERE}, State.AVAILABLE)):
        manager.aspire("m", paths)
        await _until(manager, "m", {1: states})
    assert loader.folders == [HERE, THERE]
    await manager.close()
