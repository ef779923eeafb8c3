"""Which code a run says it was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.trainer import environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one commit, in place of our own."""
    for name in ("services", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("as committed")
    as_somebody = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.hooksPath=")
    for words in (("init", "-q"), ("add", "."), (*as_somebody, "commit", "-q", "-m", "One")):
        subprocess.run(("git", *words), cwd=tmp_path, check=True)
    monkeypatch.setattr(environment, "_ROOT", tmp_path)
    return tmp_path


def test_a_run_names_its_commit_and_whether_the_code_differs(checkout: Path) -> None:
    clean = environment.environment()["commit"]
    assert len(clean) == 40
    (checkout / "docs" / "file").write_text("results")
    assert environment.environment()["commit"] == clean
    (checkout / "services" / "file").write_text("changed")
    assert environment.environment()["commit"] == f"{clean}-dirty"


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_ROOT", tmp_path)
    assert "commit" not in environment.environment()
