"""`models`, `label` and `verify` over a real store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.core.errors import FailedPrecondition, InvalidArgument, NotFound
from services.store import Store, open_store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder whose store holds m/1 and m/2, `stable` being 1."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"graph")
    store = _store(tmp_path)
    store.publish("m", model)
    store.publish("m", model)
    store.move_label("m", "stable", 1)
    return tmp_path


def _store(home: Path) -> Store:
    return open_store(str(home / "store"))


def _run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, words, env={"TENSORGATE_HOME": str(home)})


def test_models_are_listed_with_versions_and_labels(home: Path) -> None:
    assert json.loads(_run(home, "models", "--json").stdout) == [
        {"model": "m", "versions": [1, 2], "labels": {"stable": 1}}
    ]
    assert "stable=1" in _run(home, "models").stdout


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    assert "tensorgate train" in _run(tmp_path, "models").stdout


def test_a_label_is_moved_and_removed(home: Path) -> None:
    assert "m@stable -> 2" in _run(home, "label", "m", "stable", "2").stdout
    assert _store(home).labels("m") == {"stable": 2}
    assert _run(home, "label", "m", "stable", "--remove").exit_code == 0
    assert _store(home).labels("m") == {}


def test_a_label_without_a_version_is_moved_to_the_newest(home: Path) -> None:
    assert "m@stable -> 2" in _run(home, "label", "m", "stable").stdout
    assert json.loads(_run(home, "label", "m", "canary", "--json").stdout) == {
        "model": "m",
        "label": "canary",
        "version": 2,
    }
    assert _store(home).labels("m") == {"stable": 2, "canary": 2}


def test_a_label_needs_a_version_that_exists(home: Path) -> None:
    assert isinstance(_run(home, "label", "other", "stable").exception, NotFound)
    assert isinstance(_run(home, "label", "m", "stable", "2", "--remove").exception, InvalidArgument)
    assert isinstance(_run(home, "label", "m", "stable", "9").exception, FailedPrecondition)


@pytest.mark.parametrize("words", [("verify",), ("models", "verify"), ("verify", "m/2")])
def test_damage_has_an_exit_code_of_its_own_and_names_the_file(home: Path, words: tuple[str, ...]) -> None:
    assert _run(home, *words).exit_code == 0
    (home / "store" / "m" / "2" / "saved_model.pb").write_bytes(b"grbph")
    damaged = _run(home, *words)
    assert damaged.exit_code == 4
    assert "m/2: saved_model.pb: its SHA-256" in damaged.stdout


def test_verify_tells_scripts_the_same(home: Path) -> None:
    (home / "store" / "m" / "1" / "saved_model.pb").unlink()
    result = _run(home, "verify", "m@stable", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout) == [{"model": "m", "version": 1, "faults": ["saved_model.pb: missing"]}]


def test_pruning_keeps_the_newest_and_the_labelled(home: Path) -> None:
    assert json.loads(_run(home, "models", "prune", "--keep", "0", "--json").stdout) == ["m/2"]
    assert _store(home).versions("m") == [1]
    assert "nothing to remove" in _run(home, "models", "prune").stdout


def test_verify_of_a_model_that_is_not_there_is_no_success(home: Path) -> None:
    error = _run(home, "verify", "n").exception
    assert isinstance(error, NotFound) and "Received: model 'n'" in error.message


def test_verify_of_an_empty_store_says_that_there_was_nothing_to_read(tmp_path: Path) -> None:
    nothing = _run(tmp_path, "verify")
    assert (nothing.exit_code, nothing.stdout) == (0, f"nothing to verify: no version in {tmp_path / 'store'}\n")
    assert json.loads(_run(tmp_path, "verify", "--json").stdout) == []


def test_labels_that_are_damaged_or_point_at_nothing_are_damage(home: Path) -> None:
    (home / "store" / "m" / "1" / "manifest.json").unlink()
    found = _run(home, "verify")
    assert (found.exit_code, found.stdout) == (4, "m/2: whole\nm/1: stable points here, and there is no manifest\n")
    (home / "store" / ".labels" / "m.json").write_text("{")
    found = _run(home, "verify", "m")
    assert (found.exit_code, found.stdout) == (4, "m: The labels of m cannot be read: 1 faults\nm/2: whole\n")


@pytest.mark.parametrize("hours", ["inf", "1e30", "-1", "nan"])
def test_an_upload_is_given_a_time_that_a_clock_can_tell(hours: str, home: Path) -> None:
    assert _run(home, "models", "prune", "--abandoned-hours", hours).exit_code == 2
