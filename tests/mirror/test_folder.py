"""The mirror's folder: whole versions, or none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.core.errors import DataLoss
from services.store import Store, open_store
from tests.mirror.folders import mirror_folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One version of three files."""
    model = tmp_path / "model"
    (model / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "fingerprint.pb", "variables/variables.index"):
        (model / name).write_bytes(name.encode() * 100)
    store = open_store(str(tmp_path / "store"))
    store.publish("m", model)
    return store


def test_a_mirror_killed_at_any_change_of_a_file_leaves_whole_versions_only(store: Store, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.mirror.fatal_mirroring", store.url, str(tmp_path / "mirror")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    fetching, removing = map(int, run.stdout.split())
    assert fetching > 8, "fetching three files takes more changes than that"
    assert removing > 3


def test_what_is_damaged_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    (Path(store.url) / "m" / "1" / "fingerprint.pb").write_bytes(b"other")
    folder = mirror_folder(tmp_path / "mirror")
    with pytest.raises(DataLoss, match=r"m/1: fingerprint\.pb"):
        folder.fetch(store, ("m", 1))
    assert {path.name for path in (tmp_path / "mirror").iterdir()} == {".tmp", ".cache"}
    assert not list((tmp_path / "mirror" / ".cache" / ".tmp").iterdir())
    assert not list((tmp_path / "mirror" / ".tmp").iterdir())


def test_a_version_of_the_same_number_from_elsewhere_is_not_current(store: Store, tmp_path: Path) -> None:
    folder = mirror_folder(tmp_path / "mirror")
    folder.fetch(store, ("m", 1))
    assert folder.is_current(store, ("m", 1))
    other = open_store(str(tmp_path / "other"))
    other.publish("m", tmp_path / "model")
    assert not folder.is_current(other, ("m", 1))
