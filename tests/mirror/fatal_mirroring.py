"""Fetch and remove a version, killed at every change of a file: `python -m tests.mirror.fatal_mirroring STORE MIRROR`.

Prints how many died.
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.core.manifest import MANIFEST_NAME, list_files
from services.store import open_store
from tests.fatal_steps import die_at_every_change
from tests.mirror.folders import mirror_folder

KEY = ("m", 1)


def main(store_url: str, root: str) -> tuple[int, int]:
    """The version is there whole or not at all, whenever the mirror dies; the next start removes what was left."""
    store, mirrored = open_store(store_url), Path(root)
    files = store.manifest(*KEY).files

    def check() -> None:
        version = mirrored / "m" / "1"
        if version.exists():
            assert tuple(entry for entry in list_files(version) if entry.path != MANIFEST_NAME) == files
            assert mirror_folder(mirrored).is_current(store, KEY)

    def fetch() -> None:
        folder = mirror_folder(mirrored)
        if KEY not in set(folder.versions()):
            folder.fetch(store, KEY)
        assert not list((mirrored / ".tmp").iterdir())

    def remove() -> None:
        folder = mirror_folder(mirrored)
        if KEY in set(folder.versions()):
            folder.remove(KEY)
        assert not list((mirrored / ".tmp").iterdir())

    killed_fetching = die_at_every_change(mirrored, fetch, check)
    assert set(mirror_folder(mirrored).versions()) == {KEY}
    killed_removing = die_at_every_change(mirrored, remove, check)
    assert not set(mirror_folder(mirrored).versions())
    return killed_fetching, killed_removing


if __name__ == "__main__":
    print(*main(*sys.argv[1:]))
