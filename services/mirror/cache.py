"""Files by their SHA-256, shared by the mirrors of a node: what is here is not downloaded again."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from services.core.errors import FailedPrecondition, ResourceExhausted
from services.core.manifest import FileEntry, sha256_of
from services.mirror.metrics import CacheMetrics

_TEMPORARY, _LOCKS, _ROOM, _CLAIM = ".tmp", ".locks", "room", "claim"

Download = Callable[[Path], None]  # writes a file there; raises what the store does, DataLoss for one that is damaged


class Kept(NamedTuple):
    """One file of the cache: `used` is when it last was, in seconds; `free` says that no version has it."""

    digest: str
    size: int
    used: float
    free: bool


def to_evict(kept: Sequence[Kept], taken: int, most: int) -> list[Kept]:
    """The free files that go, least recently used first, so that the `taken` bytes of all become at most `most`.

    Raises ResourceExhausted where they cannot, as the others are in use; then nothing needs to go.
    """
    free = [file for file in kept if file.free]
    least = taken - sum(file.size for file in free)
    if least > most:
        raise ResourceExhausted(
            f"The mirror's files take at most {most} bytes (TENSORGATE_MIRROR_DISK_BYTES). "
            f"Received: {least} bytes that are wanted"
        )
    evicted = []
    for file in sorted(free, key=lambda file: file.used):
        if taken <= most:
            break
        evicted.append(file)
        taken -= file.size
    return evicted


class Cache:
    """`<root>/<sha256>`, each file checked and synced before it has its name. Versions are hard links to them.

    So a file is in use while it has another name, takes its room once, and losing its name here harms nobody. Locks
    are the kernel's, which gives back those of a mirror that is killed. `most_bytes` is what all files may take; None:
    any, and nothing is kept that is free.
    """

    def __init__(self, root: Path, most_bytes: int | None, metrics: CacheMetrics) -> None:
        self._root = root
        self._most_bytes = most_bytes
        self._metrics = metrics
        for folder in (_TEMPORARY, _LOCKS):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / _LOCKS / _ROOM).touch()
        metrics.most.set(math.inf if most_bytes is None else most_bytes)
        metrics.taken.set_function(self._taken)

    def check_links(self, folder: Path) -> None:
        """Raises FailedPrecondition where a folder cannot have hard links to what is here."""
        with tempfile.TemporaryDirectory(dir=folder) as own:
            try:
                (Path(own) / "trial").hardlink_to(self._root / _LOCKS / _ROOM)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP):
                    raise
                raise FailedPrecondition(
                    "The mirror's cache is on its folder's filesystem, in the same mount, and that has hard links. "
                    f"Received: {self._root} for {folder}: {error.strerror}"
                ) from None

    @contextmanager
    def room(self, files: Sequence[FileEntry]) -> Iterator[Room]:
        """Room for a version's files, which are not evicted meanwhile. Raises ResourceExhausted where there is none."""
        with ExitStack() as stack:
            with self._counting():
                own = Path(tempfile.mkdtemp(dir=self._root / _TEMPORARY))
                stack.callback(shutil.rmtree, own, ignore_errors=True)
                claim = stack.enter_context(_locked(own / _CLAIM))
                for entry in files:
                    with suppress(FileNotFoundError, FileExistsError):
                        (own / entry.sha256).hardlink_to(self._root / entry.sha256)
                missing = {one.sha256: one.size for one in files if not (own / one.sha256).exists()}
                if self._most_bytes is not None:
                    self._evict(self._most_bytes, coming=sum(missing.values()))
                os.ftruncate(claim, sum(missing.values()))
            yield Room(self._root, own, claim, missing, metrics=self._metrics)

    def tidy(self) -> None:
        """Where nothing bounds what is kept, keep nothing that is free; remove what killed mirrors left."""
        with self._counting():
            self._claimed()
            if self._most_bytes is None:
                self._delete([file for file in self._kept() if file.free])

    def _evict(self, most: int, coming: int) -> None:
        claimed = self._claimed()  # first: what killed mirrors left has links to what is free
        kept = self._kept()
        self._delete(to_evict(kept, sum(file.size for file in kept) + claimed + coming, most))

    def _delete(self, files: Sequence[Kept]) -> None:
        for file in files:
            (self._root / file.digest).unlink(missing_ok=True)
        self._metrics.evicted.inc(len(files))

    def _taken(self) -> float:
        try:
            with self._counting():
                return sum(file.size for file in self._kept())
        except OSError:  # the page has more to tell than this
            return math.nan

    def _kept(self) -> list[Kept]:
        kept = []
        with os.scandir(self._root) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    facts = entry.stat()
                    kept.append(Kept(entry.name, facts.st_size, facts.st_mtime, facts.st_nlink == 1))
        return kept

    def _claimed(self) -> int:
        """Bytes that mirrors are about to write. What killed ones left is removed."""
        claimed = 0
        for folder in (self._root / _TEMPORARY).iterdir():
            size = _size_if_locked(folder / _CLAIM)
            if size is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                claimed += size
        return claimed

    def _counting(self) -> AbstractContextManager[int]:
        """One mirror at a time begins a claim, counts, or evicts."""
        return _locked(self._root / _LOCKS / _ROOM)


class Room:
    """Where one version's files are brought to. The size of `claim` says what is still `missing`, for other mirrors."""

    def __init__(self, root: Path, own: Path, claim: int, missing: dict[str, int], *, metrics: CacheMetrics) -> None:
        self._root = root
        self._own = own
        self._claim = claim
        self._missing = missing
        self._metrics = metrics
        self._writing = Lock()

    def bring(self, entry: FileEntry, target: Path, download: Download) -> None:
        """Make `target` the file that `entry` tells of: from the cache if it is whole there, else by `download`."""
        kept, own = self._root / entry.sha256, self._own / entry.sha256
        with _locked(self._root / _LOCKS / entry.sha256[:2]):  # who else wants it waits, and then has it
            if not own.exists():
                with suppress(FileNotFoundError):
                    own.hardlink_to(kept)
            if not own.exists() or sha256_of(own) != entry.sha256:
                own.unlink(missing_ok=True)
                download(own)
                sync(own)
                target.hardlink_to(own)
                target.replace(kept)
                self._metrics.fetched.inc()
            else:
                self._metrics.hits.inc()
        target.hardlink_to(own)
        os.utime(own)
        with self._writing:
            self._missing.pop(entry.sha256, None)
            os.ftruncate(self._claim, sum(self._missing.values()))


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, outlive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _size_if_locked(path: Path) -> int | None:
    """None where nobody has a lock on it, or it is not there."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.fstat(handle).st_size
    finally:
        os.close(handle)
    return None
