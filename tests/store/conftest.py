"""One suite, two stores: a folder, and a real S3 server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.store import Store, open_store


@pytest.fixture
def store(store_url: str) -> Store:
    """An empty store."""
    return open_store(store_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Something like a SavedModel."""
    return write_model(tmp_path / "model")


def write_model(folder: Path, content: bytes = b"graph") -> Path:
    """Write three small files, one of them in a sub-folder."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(content)
    (folder / "fingerprint.pb").write_bytes(b"")
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(os.urandom(3000))
    return folder
