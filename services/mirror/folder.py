"""The local folder the model server reads: whole versions, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.core.manifest import MANIFEST_NAME, FileEntry
from services.core.refs import is_model_name, is_version
from services.mirror.cache import Cache, Room, sync
from services.mirror.plan import Key
from services.store import Store

# Below the root, where the model server does not look: it would load a half-written folder with a number for a name.
_TEMPORARY = ".tmp"
_FILES_AT_ONCE = 8


class MirrorFolder:
    """`<root>/<model>/<version>/`. A version is made beside, of links to the cache's files, synced, and renamed into
    place.
    """

    def __init__(self, root: Path, cache: Cache) -> None:
        self._root = root.absolute()
        self._cache = cache
        shutil.rmtree(self._root / _TEMPORARY, ignore_errors=True)  # what a killed mirror was fetching
        (self._root / _TEMPORARY).mkdir(parents=True)
        cache.check_links(self._root / _TEMPORARY)

    def base_path(self, model: str) -> Path:
        """The folder that holds a model's versions."""
        return self._root / model

    def versions(self) -> Iterator[Key]:
        """Every version that is here."""
        for model in self._root.iterdir():
            if is_model_name(model.name) and model.is_dir():
                yield from ((model.name, int(path.name)) for path in model.iterdir() if is_version(path.name))

    def fetch(self, store: Store, key: Key) -> None:
        """Bring one version here, every hash checked. Raises DataLoss, NotFound, ResourceExhausted or Unavailable, and
        leaves nothing but whole files in the cache.
        """
        model, version = key
        work = Path(tempfile.mkdtemp(dir=self._root / _TEMPORARY))
        try:
            manifest = store.manifest(model, version)
            with self._cache.room(manifest.files) as room, ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
                list(pool.map(lambda entry: _bring(store, key, entry, work / entry.path, room), manifest.files))
            (work / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=1))
            _sync_tree(work)
            work.chmod(0o755)  # mkdtemp's 0700 would hide it from a model server that runs as somebody else
            self.base_path(model).mkdir(exist_ok=True)
            work.rename(self.base_path(model) / str(version))
            sync(self.base_path(model))
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def tidy(self) -> None:
        """Let the cache forget what it need not keep; for when all that is wanted is here."""
        self._cache.tidy()

    def is_current(self, store: Store, key: Key) -> bool:
        """Whether what is here is what the store has under that number: a store can be emptied and filled anew."""
        path = self.base_path(key[0]) / str(key[1]) / MANIFEST_NAME
        return path.is_file() and path.read_text() == store.manifest(*key).model_dump_json(indent=1)

    def remove(self, key: Key) -> None:
        """Delete a version; renamed away first, so that nobody sees half of it."""
        model, version = key
        doomed = Path(tempfile.mkdtemp(dir=self._root / _TEMPORARY)) / str(version)
        (self.base_path(model) / str(version)).rename(doomed)
        for path in doomed.rglob("*"):
            os.utime(path)  # in use until now, for the cache
        shutil.rmtree(doomed.parent, ignore_errors=True)


def _bring(store: Store, key: Key, entry: FileEntry, path: Path, room: Room) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    room.bring(entry, path, lambda own: store.fetch_file(*key, entry, own))


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)
