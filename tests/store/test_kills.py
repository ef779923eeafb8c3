"""Publishers that are killed, and readers who look meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3

from services.core.manifest import MANIFEST_NAME
from services.store import Store, open_store
from services.store.garbage import collect_garbage
from services.store.versions import CLAIM_NAME
from tests.s3_server import BUCKET

# A publication of three files writes to the store five times: claim, three uploads, manifest.
UPLOADS = ("fingerprint.pb", "saved_model.pb", "variables.data-00000-of-00001")
MOMENTS = [CLAIM_NAME, f"{CLAIM_NAME}+", *(name + when for name in UPLOADS for when in ("", "~", "+")), MANIFEST_NAME]


def _publisher(store_url: str, folder: Path, *moment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.publisher", store_url, "m", str(folder), *moment]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _killed_at(moment: str, store_url: str, folder: Path) -> bool:
    with _publisher(store_url, folder, moment) as publisher:
        return publisher.wait(60) == -9


@contextmanager
def _reader(store_url: str) -> Iterator[list[int]]:
    """Somebody who checks every version there is, over and over; yields how many it saw each time."""
    seen: list[int] = []
    faults: list[object] = []
    stop = threading.Event()

    def look(store: Store) -> None:
        while not stop.is_set() and not faults:
            versions = store.versions("m")
            faults.extend(fault for version in versions for fault in store.verify("m", version))
            seen.append(len(versions))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look, open_store(store_url))
        try:
            yield seen
        finally:
            stop.set()
        looking.result()
    assert not faults


def test_a_reader_never_sees_what_a_killed_publisher_left_and_the_next_one_works(store_url: str, folder: Path) -> None:
    (folder / "fingerprint.pb").write_bytes(b"not empty, so that a publisher can die within it")
    with _reader(store_url) as seen:
        with ThreadPoolExecutor(3) as pool:
            killed = list(pool.map(lambda moment: _killed_at(moment, store_url, folder), MOMENTS))
        assert killed == [True] * len(MOMENTS)
    assert set(seen) == {0}
    store = open_store(store_url)
    version = store.publish("m", folder)
    assert version > 1
    assert store.versions("m") == [version]
    assert store.verify("m", version) == []


def test_a_reader_sees_only_whole_versions_while_others_publish(store_url: str, folder: Path) -> None:
    with _reader(store_url) as seen, ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: open_store(store_url).publish("m", folder), range(8)))
    assert sorted(numbers) == list(range(1, 9))
    assert seen == sorted(seen)


def test_a_publisher_killed_after_the_manifest_has_published(store_url: str, folder: Path) -> None:
    assert _killed_at(f"{MANIFEST_NAME}+", store_url, folder)
    assert open_store(store_url).verify("m", 1) == []


def test_processes_that_race_get_different_numbers(store_url: str, folder: Path) -> None:
    racers = [_publisher(store_url, folder) for _ in range(2)]
    assert sorted(int(racer.communicate(timeout=60)[0]) for racer in racers) == [1, 2]


def test_a_folder_store_withstands_a_kill_at_every_change_of_a_file(tmp_path: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.store.fatal_publishing", str(tmp_path / "store"), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 20, "publishing three files takes more changes than that"


def _unfinished(store_url: str) -> int:
    """Files or multipart uploads that somebody began and did not end."""
    if not store_url.startswith("s3://"):
        return len(list((Path(store_url) / ".tmp").iterdir()))
    prefix = store_url.removeprefix(f"s3://{BUCKET}/")
    return len(boto3.client("s3").list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", ()))


def test_what_a_killed_publisher_left_is_swept_away_and_its_number_does_not_return(
    store_url: str, folder: Path
) -> None:
    (folder / "saved_model.pb").write_bytes(os.urandom(20 << 20))  # goes to S3 in several parts
    assert _killed_at("saved_model.pb~", store_url, folder)
    assert _unfinished(store_url) > 0
    store, now = open_store(store_url), datetime.now(UTC)
    collect_garbage(store, keep=1, abandoned_before=now - timedelta(hours=1))
    assert _unfinished(store_url) > 0, "its publisher may live"
    collect_garbage(store, keep=1, abandoned_before=now + timedelta(hours=1))
    assert _unfinished(store_url) == 0
    assert store.publish("m", folder) == 2
    assert store.verify("m", 2) == []


def test_a_version_that_was_not_finished_is_garbage_after_a_while(store_url: str, folder: Path) -> None:
    assert _killed_at(MANIFEST_NAME, store_url, folder)
    store, now = open_store(store_url), datetime.now(UTC)
    assert collect_garbage(store, 1, now - timedelta(hours=1)) == []
    assert collect_garbage(store, 1, now + timedelta(hours=1)) == ["m/1"]
