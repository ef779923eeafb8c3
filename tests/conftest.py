"""Fixtures every room shares."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest

from tests.s3_server import BUCKET, s3_server

# What takes a minute or more. `make test` hands files out in this order: a long one begun last keeps one processor busy
# while the others idle.
LONGEST_FIRST = ("tests/e2e/", "tests/plugins/", "tests/conformance/", "tests/trainer/", "tests/test_writing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_FIRST))


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the services do."""
    return "asyncio"


@pytest.fixture(scope="session")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A running S3 server with an empty bucket; its variables are set in this process for the whole session."""
    with s3_server(tmp_path_factory.mktemp("weed")) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield environment


@pytest.fixture(params=["folder", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store: a test that asks for it runs on a folder and on S3."""
    if request.param == "folder":
        return str(tmp_path / "store")
    request.getfixturevalue("s3_environment")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
