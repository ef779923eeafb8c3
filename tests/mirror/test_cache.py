"""Files by their hash: what is whole is not fetched again, shared by mirrors, bounded."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from services.store import Store, open_store
from tests.mirror.scripted_server import scripted_server

KILLS = 20


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return open_store(str(tmp_path / "store"))


def publish(store: Store, folder: Path, model: str, **files: bytes) -> int:
    """A version of these files, labelled."""
    for name, content in files.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    version = store.publish(model, folder)
    store.move_label(model, "stable", version)
    return version


@pytest.mark.anyio
async def test_a_mirror_killed_at_twenty_random_bytes_leaves_whole_versions_and_goes_on_where_it_was(
    store: Store, tmp_path: Path
) -> None:
    for number in range(3):
        contents = {f"file{one}": os.urandom(1000 * (one + number)) for one in range(5)}
        publish(store, tmp_path / f"m{number}", f"m{number}", shared=b"the same in each" * 50, **contents)
    async with scripted_server() as (server, _):
        command = ["-m", "tests.mirror.killed_mirror", store.url, str(tmp_path / "mirror"), server.address, str(KILLS)]
        run = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        told, errors = await asyncio.wait_for(run.communicate(), 120)
    assert run.returncode == 0, errors.decode()
    assert len(told.split()) == KILLS
