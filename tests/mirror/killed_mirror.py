"""The mirror's process, killed at random bytes.

`python -m tests.mirror.killed_mirror STORE FOLDER CACHE MODEL_SERVER KILLS` starts it again each time until it was
killed so often, then lets it get through. Prints which bytes it was killed at, of how many that were still to come.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from services.core.manifest import MANIFEST_NAME, FileEntry, list_files, sha256_of
from services.mirror.__main__ import run
from services.mirror.settings import MirrorSettings
from services.store import Store, open_store
from services.store.local import LocalStore
from tests.polling import until

SEED = 20
# So slow that files are synced and linked while others come.
_BYTE_SECONDS = 1e-4


class SlowStore(LocalStore):
    """Hands files out byte by byte, tells `log` which, and kills the process before byte number `fatal`."""

    def __init__(self, root: Path, log: Path, fatal: int | None) -> None:
        super().__init__(root)
        self._log = log
        self._fatal = fatal
        self._sent = 0
        self._lock = Lock()

    def download(self, key: str, path: Path) -> None:
        with self._lock, self._log.open("a") as log:
            log.write(f"{key}\n")
        with path.open("wb", buffering=0) as file:
            for byte in (Path(self.url) / key).read_bytes():
                with self._lock:
                    if self._sent == self._fatal:
                        os.kill(os.getpid(), signal.SIGKILL)
                    self._sent += 1
                file.write(bytes([byte]))
                time.sleep(_BYTE_SECONDS)


class Killing:
    """A store, the mirror's folder, and what must hold of it whenever the mirror is killed."""

    def __init__(self, settings: MirrorSettings, cache: Path) -> None:
        self._settings = settings
        self._cache = cache
        self._store = open_store(settings.store)
        self._log = settings.folder.with_suffix(".log")
        self._files: Mapping[tuple[str, int], tuple[FileEntry, ...]] = {
            (model, version): self._store.manifest(model, version).files
            for model in self._store.models()
            for version in self._store.labels(model).values()
        }

    def start(self, fatal: int | None) -> int:
        """The process."""
        self._log.write_text("")
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            asyncio.run(run(self._settings, Store(SlowStore(Path(self._settings.store), self._log, fatal))))
        return child

    def whole(self) -> set[str]:
        """Hashes of the files that are whole in the cache: each must be what its name says."""
        kept = [path for path in self._cache.glob("*") if not path.name.startswith(".")]
        assert all(sha256_of(path) == path.name for path in kept)
        return {path.name for path in kept}

    def to_come(self) -> int:
        """Bytes that are not whole yet."""
        sizes = {entry.sha256: entry.size for files in self._files.values() for entry in files}
        return sum(size for digest, size in sizes.items() if digest not in self.whole())

    def versions(self) -> set[tuple[str, int]]:
        """The versions that are here: each must be whole."""
        here = {key for key in self._files if (self._settings.folder / key[0] / str(key[1])).exists()}
        for model, version in here:
            found = list_files(self._settings.folder / model / str(version))
            assert tuple(entry for entry in found if entry.path != MANIFEST_NAME) == self._files[model, version]
        return here

    def all_here(self) -> bool:
        return self.versions() == set(self._files)

    def check_nothing_again(self, whole_before: set[str]) -> None:
        """What was whole when the process began has not been fetched again, nor anything twice."""
        digests = {
            f"{model}/{version}/{entry.path}": entry.sha256
            for (model, version), files in self._files.items()
            for entry in files
        }
        fetched = [digests[key] for key in self._log.read_text().split()]
        assert not whole_before & set(fetched)
        assert len(fetched) == len(set(fetched))


def run_slowly(store: str, folder: str, cache: str, model_server: str) -> None:
    """The mirror in this process, which nobody kills but the test."""
    settings = settings_of(store, folder, cache, model_server)
    asyncio.run(run(settings, Store(SlowStore(Path(store), settings.folder.with_suffix(".log"), None))))


def settings_of(store: str, folder: str, cache: str, model_server: str) -> MirrorSettings:
    """Of a mirror that looks often."""
    return MirrorSettings(
        store=store, folder=Path(folder), cache=Path(cache), model_server=model_server, poll_seconds=0.02
    )


def main(store: str, folder: str, cache: str, model_server: str, kills: str) -> None:
    """Kill, check, start again."""
    killing = Killing(settings_of(store, folder, cache, model_server), Path(cache))
    chance = random.Random(SEED)
    for _ in range(int(kills)):
        whole, to_come = killing.whole(), killing.to_come()
        fatal = chance.randrange(to_come) // 4
        _, status = os.waitpid(killing.start(fatal), 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        killing.versions()
        killing.check_nothing_again(whole)
        print(f"{fatal}/{to_come}", end=" ", flush=True)
    whole, child = killing.whole(), killing.start(None)
    until(killing.all_here, seconds=30)
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0)[1] == 0
    killing.check_nothing_again(whole)


if __name__ == "__main__":
    main(*sys.argv[1:])
