"""What is wrong in a store is found, named, and harms nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.core.card import CARD_PATH, Card, Lineage, Task
from services.core.errors import DataLoss, NotFound, Unavailable
from services.store import Store, open_objects, open_store
from services.store.garbage import collect_garbage

CARD = Card(
    model="m",
    task=Task.REGRESS,
    title="M",
    description="",
    signatures={},
    metrics={},
    baseline={},
    lineage=Lineage(plugin="m", variant="v", run="r", seed=7, config={}, created=datetime(2026, 1, 1, tzinfo=UTC)),
)


def _replace(store_url: str, key: str, content: bytes | None, folder: Path) -> None:
    objects = open_objects(store_url)
    if content is None:
        objects.delete([key])
    else:
        (folder / "damaged").write_bytes(content)
        objects.upload(folder / "damaged", key, lambda _: None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"grbph", "SHA-256"), (b"gra", "5 bytes were published. Received: 3"), (None, "missing")],
    ids=["flipped", "truncated", "missing"],
)
def test_damage_is_found_and_named(
    store_url: str, folder: Path, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    store = open_store(store_url)
    store.publish("m", folder)
    _replace(store_url, "m/1/saved_model.pb", content, tmp_path)
    (fault,) = store.verify("m", 1)
    assert fault.path == "saved_model.pb"
    assert problem in fault.problem
    with pytest.raises(DataLoss, match=r"m/1: saved_model\.pb"):
        store.fetch("m", 1, tmp_path / "copy")


def test_a_file_that_was_never_published_is_named(store_url: str, folder: Path, tmp_path: Path) -> None:
    store = open_store(store_url)
    store.publish("m", folder)
    _replace(store_url, "m/1/extra.py", b"import os", tmp_path)
    assert [str(fault) for fault in store.verify("m", 1)] == ["extra.py: not in the manifest"]


def test_a_labelled_version_that_lost_its_manifest_keeps_nothing_else_from_being_pruned(
    store_url: str, folder: Path, tmp_path: Path
) -> None:
    store = open_store(store_url)
    for model in ("m", "m", "n", "n"):
        store.publish(model, folder)
    store.move_label("m", "stable", 1)
    _replace(store_url, "m/1/manifest.json", None, tmp_path)
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert collect_garbage(store, keep=1, abandoned_before=later) == ["n/1"]


def test_a_store_whose_labels_are_all_gone_at_once_is_taken_to_be_out_of_reach(store_url: str, folder: Path) -> None:
    store = open_store(store_url)
    watch = store.watch_labels()
    assert watch.look() == {}
    store.publish("m", folder)
    store.move_label("m", "stable", 1)
    assert watch.look() == {"m": {"stable": 1}}
    open_objects(store_url).delete([".labels/m.json"])
    for _ in range(2):
        with pytest.raises(Unavailable, match="Received: none, of 1 before"):
            watch.look()
    store.move_label("m", "canary", 1)
    assert watch.look() == {"m": {"canary": 1}}
    store.remove_label("m", "canary")
    assert watch.look() == {"m": {}}


def test_every_fault_is_named_at_once(store_url: str, folder: Path, tmp_path: Path) -> None:
    store = open_store(store_url)
    store.publish("m", folder)
    _replace(store_url, "m/1/saved_model.pb", b"grbph", tmp_path)
    _replace(store_url, "m/1/fingerprint.pb", None, tmp_path)
    assert [fault.path for fault in store.verify("m", 1)] == ["fingerprint.pb", "saved_model.pb"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"files": []}'])
def test_a_damaged_manifest_is_a_fault_like_any_other(
    store_url: str, folder: Path, tmp_path: Path, content: bytes
) -> None:
    store = open_store(store_url)
    store.publish("m", folder)
    _replace(store_url, "m/1/manifest.json", content, tmp_path)
    (fault,) = store.verify("m", 1)
    assert fault.path == "manifest.json"
    with pytest.raises(DataLoss, match="The manifest of m/1 cannot be read"):
        store.manifest("m", 1)


def test_a_manifest_cannot_make_a_fetch_write_outside_its_folder(store_url: str, folder: Path, tmp_path: Path) -> None:
    store = open_store(store_url)
    store.publish("m", folder)
    evil = store.manifest("m", 1).model_dump_json().replace('"saved_model.pb"', '"../../saved_model.pb"')
    _replace(store_url, "m/1/manifest.json", evil.encode(), tmp_path)
    with pytest.raises(DataLoss, match="cannot be read"):
        store.fetch("m", 1, tmp_path / "copy")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"stable": "1"}', b'{"stable": null}'])
def test_damaged_labels_are_named(store_url: str, folder: Path, tmp_path: Path, content: bytes) -> None:
    store = open_store(store_url)
    store.publish("m", folder)
    store.move_label("m", "stable", 1)
    _replace(store_url, ".labels/m.json", content, tmp_path)
    with pytest.raises(DataLoss, match="The labels of m cannot be read"):
        store.labels("m")
    with pytest.raises(DataLoss):
        store.move_label("m", "stable", 1)


def _publish_with_card(store: Store, folder: Path) -> None:
    (folder / CARD_PATH).parent.mkdir()
    (folder / CARD_PATH).write_text(CARD.model_dump_json())
    store.publish("m", folder)


def test_a_card_is_read_and_one_flipped_byte_in_it_is_seen(store_url: str, folder: Path, tmp_path: Path) -> None:
    store = open_store(store_url)
    _publish_with_card(store, folder)
    assert store.card("m", 1) == CARD
    _replace(store_url, f"m/1/{CARD_PATH}", CARD.model_dump_json().replace("7", "8").encode(), tmp_path)
    with pytest.raises(DataLoss, match="its SHA-256 differs"):
        store.card("m", 1)
    _replace(store_url, f"m/1/{CARD_PATH}", None, tmp_path)
    with pytest.raises(DataLoss, match="not in the store"):
        store.card("m", 1)


def test_a_version_without_a_card_says_so(store: Store, folder: Path) -> None:
    store.publish("m", folder)
    with pytest.raises(NotFound, match=r"m/1 was published without assets\.extra/card\.json"):
        store.card("m", 1)


@pytest.mark.parametrize("stray", ["my notes/x", ".hidden/x", "m/01/manifest.json", "m/0/manifest.json", "m/x/y"])
def test_what_does_not_belong_is_passed_over(store_url: str, folder: Path, tmp_path: Path, stray: str) -> None:
    store = open_store(store_url)
    store.publish("m", folder)
    _replace(store_url, stray, b"{}", tmp_path)
    assert store.models() == ["m"]
    assert store.versions("m") == [1]
    assert store.publish("m", folder) == 2
