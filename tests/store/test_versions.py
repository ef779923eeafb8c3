"""Publishing, labels and verification, over a folder and over S3 alike."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.core.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from services.store import Store, open_objects, open_store
from services.store.garbage import collect_garbage, superfluous
from tests.store.conftest import write_model

# A publication of three files changes the store five times: claim, three uploads, manifest.
STEPS = ["0", "0+", "1", "1+", "2", "2+", "3", "3+", "4"]


def _publisher(url: str, folder: Path, step: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.publisher", url, "m", str(folder), step]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_published_version_comes_back_byte_for_byte(store: Store, folder: Path, tmp_path: Path) -> None:
    version = store.publish("m", folder)
    store.fetch("m", version, tmp_path / "copy")
    for path in folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / "copy" / path.relative_to(folder)).read_bytes() == path.read_bytes()
    assert (store.models(), store.versions("m"), version) == (["m"], [1], 1)
    assert store.manifest("m", 1).size == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_progress_ends_at_the_total(store: Store, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    store.publish("m", folder, lambda done, total: seen.append((done, total)))
    done, total = zip(*seen, strict=True)
    assert sorted(done) == list(done)
    assert done[-1] == total[-1] == store.manifest("m", 1).size


def test_an_empty_folder_is_not_published(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="at least one file"):
        store.publish("m", tmp_path)


@pytest.mark.parametrize("name", ["", "../m", "a/b", ".hidden", "with space"])
def test_a_name_that_cannot_be_a_folder_is_refused(store: Store, folder: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="Received"):
        store.publish(name, folder)


def test_publishers_who_race_get_different_numbers(url: str, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: open_store(url).publish("m", folder), range(8)))
    assert sorted(numbers) == list(range(1, 9))
    assert open_store(url).versions("m") == list(range(1, 9))


def test_processes_that_race_get_different_numbers(url: str, folder: Path) -> None:
    racers = [_publisher(url, folder, "99") for _ in range(2)]
    assert sorted(int(racer.communicate(timeout=60)[0]) for racer in racers) == [1, 2]


def test_a_killed_publisher_leaves_nothing_to_see_and_the_next_one_works(url: str, folder: Path) -> None:
    publishers = [(step, _publisher(url, folder, step)) for step in STEPS]
    store = open_store(url)
    for step, publisher in publishers:
        assert publisher.wait(60) == -9, f"step {step} was survived"
        publisher.communicate()
    assert store.versions("m") == []
    version = store.publish("m", folder)
    assert version > 1
    assert store.versions("m") == [version]
    assert store.verify("m", version) == []


def test_a_publisher_killed_after_the_manifest_has_published(url: str, folder: Path) -> None:
    publisher = _publisher(url, folder, "4+")
    assert publisher.wait(60) == -9
    publisher.communicate()
    assert open_store(url).verify("m", 1) == []


def test_a_label_moves_and_goes(store: Store, folder: Path) -> None:
    first, second = store.publish("m", folder), store.publish("m", folder)
    store.move_label("m", "stable", first)
    store.move_label("m", "canary", second)
    store.move_label("m", "stable", second)
    assert store.labels("m") == {"stable": 2, "canary": 2}
    store.remove_label("m", "canary")
    assert store.labels("m") == {"stable": 2}


def test_a_label_never_points_at_nothing(store: Store, folder: Path) -> None:
    store.publish("m", folder)
    with pytest.raises(FailedPrecondition, match=r"\[1\].*Received: version 7"):
        store.move_label("m", "stable", 7)
    with pytest.raises(NotFound, match="Received: 'stable'"):
        store.remove_label("m", "stable")
    with pytest.raises(InvalidArgument, match="A label has"):
        store.move_label("m", "two words", 1)


def test_labels_moved_at_the_same_moment_are_all_kept(url: str, folder: Path) -> None:
    open_store(url).publish("m", folder)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: open_store(url).move_label("m", f"label_{number}", 1), range(8)))
    assert open_store(url).labels("m") == {f"label_{number}": 1 for number in range(8)}


def _damage(url: str, tmp_path: Path, content: bytes | None) -> None:
    objects, key = open_objects(url), "m/1/saved_model.pb"
    if content is None:
        objects.delete([key])
    else:
        (tmp_path / "damaged").write_bytes(content)
        objects.upload(tmp_path / "damaged", key, lambda _: None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"grbph", "SHA-256"), (b"gra", "5 bytes were published. Received: 3"), (None, "missing")],
    ids=["flipped", "truncated", "missing"],
)
def test_damage_is_found_and_named(url: str, folder: Path, tmp_path: Path, content: bytes | None, problem: str) -> None:
    store = open_store(url)
    store.publish("m", folder)
    _damage(url, tmp_path, content)
    (fault,) = store.verify("m", 1)
    assert fault.path == "saved_model.pb"
    assert problem in fault.problem
    with pytest.raises(DataLoss, match=r"m/1: saved_model\.pb"):
        store.fetch("m", 1, tmp_path / "copy")


def test_a_file_that_was_never_published_is_named(url: str, folder: Path, tmp_path: Path) -> None:
    store = open_store(url)
    store.publish("m", folder)
    open_objects(url).upload(folder / "saved_model.pb", "m/1/extra.py", lambda _: None)
    assert [str(fault) for fault in store.verify("m", 1)] == ["extra.py: not in the manifest"]


def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert store.models() == []
    assert store.versions("m") == []
    assert store.labels("m") == {}
    with pytest.raises(NotFound, match="Version 3 of model m"):
        store.manifest("m", 3)


def test_a_store_out_of_reach_says_so_and_names_itself(monkeypatch: pytest.MonkeyPatch, s3_environment: object) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Exception, match="The store s3://models/x cannot be reached"):
        open_store("s3://models/x").models()


def test_wrong_credentials_are_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, s3_environment: object
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(Exception, match="refuses these credentials") as caught:
        open_store("s3://models/x").models()
    assert "not-the-secret" not in str(caught.value)


def test_the_newest_and_the_labelled_versions_stay() -> None:
    assert superfluous([1, 2, 3, 4, 5], labelled={2}, keep=2) == [1, 3]
    assert superfluous([1, 2], labelled=set(), keep=5) == []


def test_garbage_goes_and_its_numbers_do_not_return(store: Store, url: str, folder: Path) -> None:
    for _ in range(3):
        store.publish("m", folder)
    store.move_label("m", "stable", 1)
    publisher = _publisher(url, folder, "4")
    publisher.wait(60)
    publisher.communicate()
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert collect_garbage(store, keep=1, abandoned_before=later) == ["m/2", "m/4"]
    assert store.versions("m") == [1, 3]
    assert collect_garbage(store, keep=1, abandoned_before=later) == []
    assert store.publish("m", folder) == 5


def test_a_labelled_version_cannot_be_removed(store: Store, folder: Path) -> None:
    store.publish("m", folder)
    store.move_label("m", "stable", 1)
    with pytest.raises(FailedPrecondition, match="m/1, which is stable"):
        store.remove("m", 1)


def test_boto3_is_not_loaded_for_a_folder() -> None:
    program = (
        "import sys; from services.store import open_store; open_store('/tmp/x'); sys.exit('boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_publishing_a_changed_model_leaves_the_old_version_alone(store: Store, tmp_path: Path) -> None:
    store.publish("m", write_model(tmp_path / "one", b"one"))
    store.publish("m", write_model(tmp_path / "two", b"two"))
    store.fetch("m", 1, tmp_path / "copy")
    assert (tmp_path / "copy" / "saved_model.pb").read_bytes() == b"one"
