"""What a version consists of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.core.manifest import FileEntry, list_files

HASH = hashlib.sha256(b"").hexdigest()


def test_every_file_is_listed_with_size_and_hash(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "b").write_bytes(b"bytes")
    (tmp_path / "a").write_bytes(b"")
    assert list_files(tmp_path) == (
        FileEntry(path="a", size=0, sha256=HASH),
        FileEntry(path="deep/er/b", size=5, sha256=hashlib.sha256(b"bytes").hexdigest()),
    )


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x"])
def test_a_manifest_cannot_name_a_file_outside_its_version(path: str) -> None:
    with pytest.raises(ValidationError, match="below the version's folder"):
        FileEntry(path=path, size=0, sha256=HASH)
