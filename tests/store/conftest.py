"""One suite, two stores: a folder, and a real S3 server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest

from services.store import Store, open_store
from tests.s3_server import s3_server

BUCKET = "models"


@pytest.fixture(scope="session")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A running S3 server with an empty bucket; its variables are set in this process for the whole session."""
    with s3_server(tmp_path_factory.mktemp("weed")) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield environment


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store."""
    if request.param == "folder":
        return str(tmp_path / "store")
    request.getfixturevalue("s3_environment")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def store(url: str) -> Store:
    """An empty store."""
    return open_store(url)


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
