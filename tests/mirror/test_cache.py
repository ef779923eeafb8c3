"""Files by their hash: what is whole is not fetched again, shared by mirrors, bounded."""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.core.errors import FailedPrecondition, ResourceExhausted
from services.mirror.cache import Kept, to_evict
from services.mirror.folder import MirrorFolder
from services.store import Store, open_store
from tests.mirror.folders import mirror_folder, open_cache
from tests.mirror.scripted_server import ScriptedServer, scripted_server

KILLS = 20
ELSEWHERE = Path("/dev/shm")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return open_store(str(tmp_path / "store"))


def publish(store: Store, folder: Path, model: str, **files: bytes) -> int:
    """A version of these files, labelled."""
    for name, content in files.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    version = store.publish(model, folder)
    store.move_label(model, "stable", version)
    return version


async def mirrored(store: Store, folder: Path, cache: Path, kills: int) -> str:
    """What `tests.mirror.killed_mirror` tells of a mirror that was killed so often."""
    async with scripted_server() as (server, _):
        command = ["-m", "tests.mirror.killed_mirror", store.url, str(folder), str(cache), server.address, str(kills)]
        pipe = asyncio.subprocess.PIPE
        run = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, stderr=pipe)
        told, errors = await asyncio.wait_for(run.communicate(), 120)
    assert run.returncode == 0, errors.decode()
    return told.decode()


@pytest.mark.anyio
async def test_a_mirror_killed_at_twenty_random_bytes_leaves_whole_versions_and_goes_on_where_it_was(
    store: Store, tmp_path: Path
) -> None:
    for number in range(2):
        contents = {f"file{one}": os.urandom(5 * one) for one in range(1, 81)}
        publish(store, tmp_path / f"m{number}", f"m{number}", shared=b"the same in each" * 50, **contents)
    killed_at = await mirrored(store, tmp_path / "mirror", tmp_path / "mirror" / ".cache", KILLS)
    to_come = [int(kill.partition("/")[2]) for kill in killed_at.split()]
    assert len(to_come) == KILLS
    assert to_come[-1] < to_come[0], "nothing that was whole was kept"


@pytest.mark.anyio
async def test_two_mirrors_that_share_a_cache_fetch_each_file_once(store: Store, tmp_path: Path) -> None:
    for number in range(4):
        publish(store, tmp_path / f"m{number}", f"m{number}", **{f"file{one}": os.urandom(2000) for one in range(5)})
    pods = [tmp_path / "pod-0", tmp_path / "pod-1"]
    await asyncio.gather(*(mirrored(store, pod, tmp_path / "cache", 0) for pod in pods))
    fetched = [pod.with_suffix(".log").read_text().split() for pod in pods]
    assert len({*fetched[0], *fetched[1]}) == len(fetched[0]) + len(fetched[1]) == 20
    one, other = (pod / "m0" / "1" / "file0" for pod in pods)
    assert one.samefile(other)
    assert not list((tmp_path / "cache" / ".tmp").iterdir())


@pytest.mark.anyio
async def test_of_two_mirrors_that_share_a_cache_one_is_killed_while_both_fetch_and_the_other_goes_on(
    store: Store, tmp_path: Path
) -> None:
    for number in range(2):
        files = {f"file{one}": os.urandom(5_000) for one in range(4)}
        publish(store, tmp_path / f"m{number}", f"m{number}", **files)
    cache, pods = tmp_path / "cache", [tmp_path / "pod-0", tmp_path / "pod-1"]
    claims = cache / ".tmp"
    async with scripted_server() as (first, _), scripted_server() as (second, _):
        doomed = await slow_mirror(store, pods[0], cache, first.address)
        await eventually(lambda: claims.is_dir() and len(list(claims.iterdir())) == 2)
        with (cache / ".locks" / "room").open() as room:
            fcntl.flock(room, fcntl.LOCK_EX)  # both claims are whole: the other needs this lock for its own
            doomed.send_signal(signal.SIGSTOP)  # with all else it has locked, until the other is as far
        other = await slow_mirror(store, pods[1], cache, second.address)
        await eventually(lambda: len(list(claims.iterdir())) == 4)
        assert not list(cache.glob("[!.]*")), "both have a claim for each version, and nothing is whole"
        doomed.kill()
        await doomed.wait()
        await eventually(lambda: is_served(second) and not is_served(first))
        other.terminate()
        assert await other.wait() == 0
        assert len(pods[1].with_suffix(".log").read_text().split()) == len(list(cache.glob("[!.]*"))) == 8
        pods[0].with_suffix(".log").write_text("")
        again = await slow_mirror(store, pods[0], cache, first.address)
        await eventually(lambda: is_served(first) and not list(claims.iterdir()))
        again.terminate()
        assert await again.wait() == 0
    assert not pods[0].with_suffix(".log").read_text()
    for number in range(2):
        assert store.verify(f"m{number}", 1) == []
        for file in (tmp_path / f"m{number}").iterdir():
            copies = [pod / f"m{number}" / "1" / file.name for pod in pods]
            assert copies[0].samefile(copies[1])
            assert copies[0].read_bytes() == file.read_bytes()


async def slow_mirror(store: Store, folder: Path, cache: Path, address: str) -> asyncio.subprocess.Process:
    """A process of its own."""
    code = "import sys; from tests.mirror.killed_mirror import run_slowly; run_slowly(*sys.argv[1:])"
    words = ["-c", code, store.url, str(folder), str(cache), address]
    return await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.DEVNULL)


def is_served(server: ScriptedServer) -> bool:
    """Both models are."""
    return server.states == {("m0", 1): "AVAILABLE", ("m1", 1): "AVAILABLE"}


async def eventually(condition: Callable[[], bool]) -> None:
    """Return when it holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_least_recently_used_files_go_first_and_those_in_use_stay(store: Store, tmp_path: Path) -> None:
    folder = mirror_folder(tmp_path / "mirror", most_bytes=350)
    contents = {model: os.urandom(100) for model in ("a", "b", "c", "d")}
    for model, content in contents.items():
        publish(store, tmp_path / model, model, graph=content)
    for model in ("a", "b", "c"):
        folder.fetch(store, (model, 1))
    for used, model in enumerate(("b", "a")):
        folder.remove((model, 1))
        (kept,) = (
            path for path in (tmp_path / "mirror" / ".cache").glob("[!.]*") if path.read_bytes() == contents[model]
        )
        os.utime(kept, (used, used))
    folder.fetch(store, ("d", 1))
    there = {path.read_bytes() for path in (tmp_path / "mirror" / ".cache").glob("[!.]*")}
    assert there == {contents[model] for model in ("a", "c", "d")}
    (Path(store.url) / "a" / "1" / "graph").unlink()
    folder.fetch(store, ("a", 1))  # from the cache alone
    with pytest.raises(ResourceExhausted, match=r"at most 350 bytes .* Received: 400 bytes that are wanted"):
        folder.fetch(store, ("b", 1))
    assert set(folder.versions()) == {("a", 1), ("c", 1), ("d", 1)}


def test_what_came_from_where_what_went_and_what_is_taken_is_counted(store: Store, tmp_path: Path) -> None:
    told = CollectorRegistry()
    folder = mirror_folder(tmp_path / "mirror", most_bytes=250, registry=told)
    for model in ("a", "b", "c"):
        publish(store, tmp_path / model, model, graph=os.urandom(100))

    def count(name: str, **labels: str) -> float | None:
        return told.get_sample_value(f"tensorgate_mirror_{name}", labels)

    folder.fetch(store, ("a", 1))
    folder.remove(("a", 1))
    folder.fetch(store, ("a", 1))
    assert (count("files_total", source="store"), count("files_total", source="cache")) == (1, 1)
    assert (count("cache_bytes"), count("cache_limit_bytes"), count("evicted_files_total")) == (100, 250, 0)
    folder.fetch(store, ("b", 1))
    folder.remove(("a", 1))
    folder.fetch(store, ("c", 1))
    assert (count("cache_bytes"), count("evicted_files_total")) == (200, 1)
    shutil.rmtree(tmp_path / "mirror")
    assert math.isnan(count("cache_bytes") or 0)


def test_what_a_mirror_is_fetching_takes_room_from_others(store: Store, tmp_path: Path) -> None:
    for model in ("a", "b"):
        publish(store, tmp_path / model, model, graph=os.urandom(100))
    root, files = tmp_path / "cache", [store.manifest(model, 1).files for model in ("a", "b")]
    with open_cache(root, 150).room(files[0]), pytest.raises(ResourceExhausted), open_cache(root, 150).room(files[1]):
        pass
    with open_cache(root, 150).room(files[1]):
        pass


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(store: Store, tmp_path: Path) -> None:
    folder = mirror_folder(tmp_path / "mirror")
    publish(store, tmp_path / "a", "a", graph=b"graph")
    folder.fetch(store, ("a", 1))
    folder.remove(("a", 1))
    (kept,) = (tmp_path / "mirror" / ".cache").glob("[!.]*")
    kept.write_bytes(b"grbph")
    folder.fetch(store, ("a", 1))
    assert (tmp_path / "mirror" / "a" / "1" / "graph").read_bytes() == kept.read_bytes() == b"graph"


def test_a_version_was_in_use_until_it_was_removed(store: Store, tmp_path: Path) -> None:
    folder = mirror_folder(tmp_path / "mirror")
    publish(store, tmp_path / "a", "a", graph=b"graph")
    folder.fetch(store, ("a", 1))
    (kept,) = (tmp_path / "mirror" / ".cache").glob("[!.]*")
    os.utime(kept, (1, 1))
    folder.remove(("a", 1))
    assert kept.stat().st_mtime > 1


def test_what_a_killed_mirror_was_fetching_is_free(store: Store, tmp_path: Path) -> None:
    folder = mirror_folder(tmp_path / "mirror", most_bytes=150)
    for model in ("a", "b"):
        publish(store, tmp_path / model, model, graph=os.urandom(100))
    folder.fetch(store, ("a", 1))
    left = tmp_path / "mirror" / ".cache" / ".tmp" / "killed"
    left.mkdir()
    (left / "claim").write_bytes(bytes(1000))
    (kept,) = (tmp_path / "mirror" / ".cache").glob("[!.]*")
    (left / kept.name).hardlink_to(kept)
    folder.remove(("a", 1))
    folder.fetch(store, ("b", 1))
    assert not left.exists()
    assert not kept.exists()


def test_without_a_bound_nothing_is_kept_that_no_version_has(store: Store, tmp_path: Path) -> None:
    folder = mirror_folder(tmp_path / "mirror")
    for model in ("a", "b"):
        publish(store, tmp_path / model, model, graph=model.encode())
        folder.fetch(store, (model, 1))
    folder.remove(("a", 1))
    folder.tidy()
    assert [path.read_bytes() for path in (tmp_path / "mirror" / ".cache").glob("[!.]*")] == [b"b"]


@pytest.mark.skipif(
    not ELSEWHERE.is_dir() or ELSEWHERE.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev,
    reason="there is one filesystem only",
)
def test_a_cache_on_another_filesystem_is_refused(tmp_path: Path) -> None:
    with (
        tempfile.TemporaryDirectory(dir=ELSEWHERE) as elsewhere,
        pytest.raises(FailedPrecondition, match=f"hard links. Received: {elsewhere}"),
    ):
        MirrorFolder(tmp_path / "mirror", open_cache(Path(elsewhere)))


KEPT = st.builds(Kept, st.uuids().map(str), st.integers(0, 100), st.floats(0, 100), st.booleans())


@given(st.lists(KEPT), st.integers(0, 100), st.integers(0, 300))
def test_what_goes_is_free_and_older_than_what_stays_and_no_more_than_needed(
    kept: Sequence[Kept], coming: int, most: int
) -> None:
    taken = sum(file.size for file in kept) + coming
    try:
        evicted = to_evict(kept, taken, most)
    except ResourceExhausted:
        assert sum(file.size for file in kept if not file.free) + coming > most
        return
    assert all(file.free for file in evicted)
    left = taken - sum(file.size for file in evicted)
    assert left <= most
    assert not evicted or left + evicted[-1].size > most
    stay = [file.used for file in kept if file.free and file not in evicted]
    assert not evicted or not stay or max(file.used for file in evicted) <= min(stay)
