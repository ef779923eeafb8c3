"""Publishing, labels and verification, over a folder and over S3 alike."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.core.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from services.store import Store, open_store
from services.store.garbage import collect_garbage
from services.store.local import LocalStore
from services.store.objects import Listed
from tests.store.conftest import write_model


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


@pytest.mark.parametrize("name", ["manifest.json", ".claim"])
def test_a_folder_with_a_file_of_the_store_is_not_published(store: Store, folder: Path, name: str) -> None:
    (folder / name).write_text("{}")
    with pytest.raises(FailedPrecondition, match=f"The store writes {name} itself"):
        store.publish("m", folder)
    assert store.versions("m") == []


@pytest.mark.parametrize("name", ["", "../m", "a/b", ".hidden", "with space"])
def test_a_name_that_cannot_be_a_folder_is_refused(store: Store, folder: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="Received"):
        store.publish(name, folder)


def test_a_label_never_points_at_a_version_that_is_removed_in_the_same_moment(store_url: str, folder: Path) -> None:
    store = open_store(store_url)
    for version in range(1, 13):
        store.publish("m", folder)
        rivals = (lambda v=version: store.move_label("m", "stable", v), lambda v=version: store.remove("m", v))
        with ThreadPoolExecutor(2) as pool:
            ended = [pool.submit(rival) for rival in rivals]
        faults = [future.exception() for future in ended]
        assert all(fault is None or isinstance(fault, FailedPrecondition) for fault in faults)
        pointed = store.labels("m").get("stable")
        assert pointed is None or pointed in store.versions("m")


def test_publishers_who_race_get_different_numbers(store_url: str, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: open_store(store_url).publish("m", folder), range(8)))
    assert sorted(numbers) == list(range(1, 9))
    assert open_store(store_url).versions("m") == list(range(1, 9))


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


def test_a_label_that_was_to_be_elsewhere_is_not_moved(store: Store, folder: Path) -> None:
    first, second = store.publish("m", folder), store.publish("m", folder)
    store.move_label("m", "stable", first, expected=None)
    with pytest.raises(Aborted, match=r"m@stable was to be at None still\. Received: 1"):
        store.move_label("m", "stable", second, expected=None)
    store.move_label("m", "stable", second, expected=first)
    with pytest.raises(Aborted, match="at 1 still"):
        store.move_label("m", "stable", first, expected=first)
    assert store.labels("m") == {"stable": second}


def test_of_many_who_expect_the_same_one_moves_the_label(store_url: str, folder: Path) -> None:
    versions = [open_store(store_url).publish("m", folder) for _ in range(4)]

    def moves(version: int) -> bool:
        try:
            open_store(store_url).move_label("m", "stable", version, expected=None)
        except Aborted:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(moves, versions))
    assert won.count(True) == 1
    assert open_store(store_url).labels("m") == {"stable": versions[won.index(True)]}


def test_labels_moved_at_the_same_moment_are_all_kept(store_url: str, folder: Path) -> None:
    open_store(store_url).publish("m", folder)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: open_store(store_url).move_label("m", f"label_{number}", 1), range(8)))
    assert open_store(store_url).labels("m") == {f"label_{number}": 1 for number in range(8)}


def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert store.models() == []
    assert store.versions("m") == []
    assert store.labels("m") == {}
    with pytest.raises(NotFound, match="Version 3 of model m"):
        store.manifest("m", 3)


def test_old_versions_go_and_their_numbers_do_not_return(store: Store, folder: Path) -> None:
    for _ in range(3):
        store.publish("m", folder)
    store.move_label("m", "stable", 1)
    store.publish("m", folder)
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert collect_garbage(store, keep=1, abandoned_before=later) == ["m/2", "m/3"]
    assert store.versions("m") == [1, 4]
    assert collect_garbage(store, keep=1, abandoned_before=later) == []
    store.remove("m", 4)
    assert store.publish("m", folder) == 5


def test_what_may_go_is_found_by_one_pass_however_many_models_there_are(tmp_path: Path, folder: Path) -> None:
    objects = CountedStore(tmp_path / "counted")
    store = Store(objects)
    for number in range(5):
        store.publish(f"m{number}", folder)
        store.move_label(f"m{number}", "stable", 1)
    objects.listed.clear()
    assert collect_garbage(store, keep=1, abandoned_before=datetime.now(UTC)) == []
    assert objects.listed == [""]


class CountedStore(LocalStore):
    """Remembers what was listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listed: list[str] = []

    def list(self, prefix: str) -> Iterator[Listed]:
        self.listed.append(prefix)
        return super().list(prefix)


def test_a_store_can_be_listed_while_versions_are_pruned(tmp_path: Path) -> None:
    objects = LocalStore(tmp_path)
    keys = [f"m/1/{number}/file" for number in range(500)]
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True)
        (tmp_path / key).touch()
    with ThreadPoolExecutor(3) as pool:  # two who prune, and one who looks
        pruning = [pool.submit(objects.delete, keys) for _ in range(2)]
        while not all(one.done() for one in pruning):
            list(objects.list("m/"))
    assert [one.result() for one in pruning] == [None, None]
    assert list(objects.list("m/")) == []


def test_a_labelled_version_cannot_be_removed(store: Store, folder: Path) -> None:
    store.publish("m", folder)
    store.move_label("m", "stable", 1)
    with pytest.raises(FailedPrecondition, match="m/1, which is stable"):
        store.remove("m", 1)


def test_publishing_a_changed_model_leaves_the_old_version_alone(store: Store, tmp_path: Path) -> None:
    store.publish("m", write_model(tmp_path / "one", b"one"))
    store.publish("m", write_model(tmp_path / "two", b"two"))
    store.fetch("m", 1, tmp_path / "copy")
    assert (tmp_path / "copy" / "saved_model.pb").read_bytes() == b"one"
