"""Passes of the mirror one by one, with a clock and a model server in the test's hands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from services.core.errors import FailedPrecondition, TensorgateError, Unavailable
from services.mirror.metrics import MirrorMetrics
from services.mirror.mirror import Mirror
from services.mirror.model_server import ModelServer
from services.mirror.wishes import ALL, Choice
from services.store import Objects, Store, open_objects, open_store
from tests.mirror.folders import mirror_folder
from tests.mirror.scripted_server import ScriptedServer, scripted_server

pytestmark = pytest.mark.anyio
GRACE = 5.0


@dataclass
class Bench:
    """A mirror between a folder store and a scripted model server."""

    folder: Path
    server: ScriptedServer
    client: ModelServer
    store_url: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    now: float = 0.0
    models: Choice = ALL

    def __post_init__(self) -> None:
        self.metrics = MirrorMetrics(self.registry)
        self.start()

    def start(self) -> None:
        """A new mirror, which knows nothing but what is in its folder."""
        self.mirror = Mirror(
            store=self.store,
            folder=mirror_folder(self.folder / "mirror"),
            model_server=self.client,
            metrics=self.metrics,
            grace_seconds=GRACE,
            clock=lambda: self.now,
            wall=lambda: self.now,
            models=self.models,
        )

    @property
    def store(self) -> Store:
        return open_store(self.store_url)

    def publish(self, model: str = "m") -> int:
        """A new version, with the label on it."""
        (self.folder / "model").mkdir(exist_ok=True)
        (self.folder / "model" / "saved_model.pb").write_bytes(b"graph")
        version = self.store.publish(model, self.folder / "model")
        self.store.move_label(model, "stable", version)
        return version

    async def passes(self, seconds: float = 0.0) -> None:
        """Let time go by, then look until nothing changes: what is wanted is fetched, loaded, labelled."""
        self.now += seconds
        for _ in range(4):
            await self.mirror.look_and_act()
            await asyncio.gather(
                *asyncio.all_tasks() & {t for t in asyncio.all_tasks() if t.get_name()[:6] == "fetch "}
            )

    def failures(self, stage: str) -> float:
        return self.registry.get_sample_value("tensorgate_mirror_failures_total", {"stage": stage}) or 0.0

    def here(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "mirror" / "m").iterdir())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with scripted_server() as (server, client):
        yield Bench(tmp_path, server, client, str(tmp_path / "store"))


async def test_every_store_will_do(tmp_path: Path, store_url: str) -> None:
    async with scripted_server() as (server, client):
        bench = Bench(tmp_path, server, client, store_url)
        bench.publish()
        await bench.passes()
        bench.publish()
        await bench.passes()
        await bench.passes(GRACE + 1)
        assert server.asked[-1] == {"m": ([2], {"stable": 2})}
        assert bench.here() == ["2"]


async def test_the_config_goes_from_loading_to_labelled_to_the_successor_alone(bench: Bench) -> None:
    bench.publish()
    await bench.passes()
    assert [asked.get("m") for asked in bench.server.asked] == [None, ([1], {}), ([1], {"stable": 1})]
    bench.server.asked.clear()
    bench.publish()
    await bench.passes()
    assert [asked["m"] for asked in bench.server.asked] == [([1], {}), ([1, 2], {}), ([1, 2], {"stable": 2})]
    await bench.passes(GRACE - 1)
    assert bench.server.states["m", 1] == "AVAILABLE"
    await bench.passes(2)
    assert bench.server.asked[-1] == {"m": ([2], {"stable": 2})}
    assert bench.here() == ["2"]


async def test_a_fetch_that_ends_in_the_middle_of_a_pass_is_not_begun_again(bench: Bench) -> None:
    bench.publish()
    await bench.mirror.look_and_act()
    bench.server.answers_when = (bench.folder / "mirror" / "m" / "1").is_dir
    await bench.mirror.look_and_act()
    bench.server.answers_when = lambda: True
    await bench.passes()
    assert bench.server.states == {("m", 1): "AVAILABLE"}
    assert bench.registry.get_sample_value("tensorgate_mirror_fetched_versions_total") == 1


async def test_a_version_that_fails_to_load_is_tried_again_less_and_less_often(bench: Bench) -> None:
    bench.publish()
    await bench.passes()
    bench.server.broken.add(("m", 2))
    bench.publish()
    tries = []
    for second in range(60):
        before = len(bench.server.asked)
        await bench.passes(1)
        tries += [second for asked in bench.server.asked[before:] if asked["m"][0] == [1, 2]][:1]
    assert len(tries) >= 3
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert all(later > earlier for earlier, later in pairwise(pauses))
    assert bench.server.states["m", 1] == "AVAILABLE"
    assert bench.failures("load") == pytest.approx(len(tries), abs=1)
    bench.server.broken.clear()
    await bench.passes(60)
    await bench.passes(GRACE + 1)
    assert bench.server.asked[-1] == {"m": ([2], {"stable": 2})}


async def test_a_model_server_that_restarts_amid_a_failing_roll_out_gets_the_old_version(bench: Bench) -> None:
    bench.publish()
    await bench.passes()
    bench.server.broken.add(("m", 2))
    bench.publish()
    await bench.passes(2)
    await bench.passes(2)
    bench.server.restart()
    await bench.passes()
    assert bench.server.states["m", 1] == "AVAILABLE"
    assert bench.here() == ["1", "2"]


async def test_one_models_damaged_labels_and_stray_folders_harm_nobody(bench: Bench) -> None:
    bench.publish("m")
    await bench.passes()
    (bench.folder / "store" / ".labels" / "m.json").write_text("{")
    (bench.folder / "store" / "my notes").mkdir()
    bench.publish("other")
    await bench.passes(GRACE + 1)
    await bench.passes(GRACE + 1)
    assert bench.server.asked[-1] == {"m": ([1], {"stable": 1}), "other": ([1], {"stable": 1})}
    assert bench.failures("labels") == 1


async def test_a_store_that_is_gone_changes_nothing_even_when_all_restarts(bench: Bench) -> None:
    bench.publish()
    await bench.passes()
    (bench.folder / "store").rename(bench.folder / "away")
    await bench.passes(GRACE + 1)
    await bench.passes(GRACE + 1)
    assert bench.server.states == {("m", 1): "AVAILABLE"}
    bench.server.restart()
    await bench.passes()
    assert bench.server.states == {("m", 1): "AVAILABLE"}
    bench.start()
    bench.server.restart()
    await bench.passes(GRACE + 1)
    await bench.passes(GRACE + 1)
    assert bench.server.states == {("m", 1): "AVAILABLE"}
    (bench.folder / "away").rename(bench.folder / "store")
    bench.publish()
    await bench.passes()
    assert bench.server.states["m", 2] == "AVAILABLE"


async def test_it_is_ready_when_the_models_are_and_not_while_the_model_server_is_away(bench: Bench) -> None:
    bench.publish()
    assert not bench.mirror.ready
    await bench.passes()
    assert bench.mirror.ready
    bench.server.answers_when = lambda: False
    with pytest.raises(TensorgateError):
        await bench.mirror.look_and_act()
    assert not bench.mirror.ready
    bench.server.answers_when = lambda: True
    await bench.passes()
    assert bench.mirror.ready


async def test_a_store_that_cannot_be_read_is_told_in_one_line_even_with_nothing_here(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (bench.folder / "store").write_text("no folder")
    await bench.passes()
    assert not bench.mirror.ready
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"reading the store: The store {bench.store_url} cannot be used: Not a directory"


async def test_a_manifest_damaged_after_it_was_fetched_takes_nothing_away(bench: Bench) -> None:
    bench.publish()
    await bench.passes()
    (bench.folder / "store" / "m" / "1" / "manifest.json").write_text("{")
    bench.start()
    bench.server.restart()
    await bench.passes(GRACE + 1)
    assert bench.server.states == {("m", 1): "AVAILABLE"}
    assert bench.failures("manifest") == 1


async def test_a_config_that_is_refused_is_sent_again(bench: Bench) -> None:
    bench.publish()
    bench.server.refusal = (grpc.StatusCode.FAILED_PRECONDITION, "not now")
    with pytest.raises(FailedPrecondition, match="not now"):
        await bench.passes()
    bench.server.refusal = None
    await bench.passes()
    assert bench.server.states == {("m", 1): "AVAILABLE"}


async def test_a_new_model_that_cannot_be_loaded_is_no_refusal(bench: Bench) -> None:
    bench.publish()
    bench.server.refusal = (grpc.StatusCode.UNKNOWN, "1 servable(s) did not become available")
    await bench.passes()
    assert bench.server.asked


async def test_an_old_error_is_not_taken_for_a_new_one(bench: Bench) -> None:
    bench.publish()
    await bench.passes()
    bench.server.broken.add(("m", 2))
    bench.publish()
    await bench.passes()
    await bench.passes(2)
    assert bench.server.asked[-1]["m"][0] == [1]
    bench.server.takes_in = False
    await bench.passes(60)
    assert bench.server.asked[-1]["m"][0] == [1, 2], "the server has not even tried again"
    bench.server.broken.clear()
    bench.server.states["m", 2] = "AVAILABLE"
    bench.server.takes_in = True
    await bench.passes()
    assert bench.server.asked[-1]["m"] == ([1, 2], {"stable": 2})


class _Stalled:
    """Objects whose downloads wait until they are let go, and then fail if there is a fault."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.go = threading.Event()
        self.fault: Unavailable | None = None
        self.url = objects.url
        self.get, self.put, self.upload, self.delete = objects.get, objects.put, objects.upload, objects.delete
        self.list, self.tags = objects.list, objects.tags
        self.folders, self.sweep = objects.folders, objects.sweep

    def download(self, key: str, path: Path) -> None:
        self.go.wait()
        if self.fault is not None:
            raise self.fault
        self._objects.download(key, path)


async def test_a_store_that_was_out_of_reach_for_long_is_tried_again_soon(bench: Bench) -> None:
    bench.publish()
    stalled = _Stalled(open_objects(bench.store_url))
    bench.mirror.store = Store(stalled)
    stalled.fault = Unavailable("The store cannot be reached")
    stalled.go.set()
    for _ in range(20):
        await bench.passes(10)
    stalled.fault = None
    await bench.passes(6)
    assert bench.server.states == {("m", 1): "AVAILABLE"}


async def test_many_slow_downloads_leave_the_mirror_at_work(bench: Bench) -> None:
    bench.publish()
    await bench.passes()
    models = [f"slow{number}" for number in range(40)]  # more than asyncio has threads for
    for model in models:
        bench.publish(model)
    for kept in bench.folder.rglob(".cache/[!.]*"):  # all models have the same bytes
        kept.unlink()
    stalled = _Stalled(open_objects(bench.store_url))
    bench.mirror.store = Store(stalled)
    try:
        async with asyncio.timeout(10):
            await bench.mirror.look_and_act()
            await asyncio.sleep(0.1)  # the downloads begin
            bench.store.move_label("m", "canary", 1)
            await bench.mirror.look_and_act()
        assert bench.server.asked[-1] == {"m": ([1], {"stable": 1, "canary": 1})}
    finally:
        stalled.go.set()
    await bench.passes()
    assert bench.server.states == {(model, 1): "AVAILABLE" for model in ["m", *models]}


async def test_the_loop_goes_on_after_any_fault_and_ends_when_cancelled(bench: Bench) -> None:
    bench.server.refusal = (grpc.StatusCode.INTERNAL, "a fault")
    bench.publish()
    running = asyncio.create_task(bench.mirror.run(0.01))
    async with asyncio.timeout(20):
        while bench.failures("reach") < 1:
            await asyncio.sleep(0.01)
        bench.server.refusal = None
        while bench.server.states != {("m", 1): "AVAILABLE"}:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.failures("reach") == 1, "a fault that lasts is counted once"
