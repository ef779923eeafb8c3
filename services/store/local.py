"""A folder as a store, safe between processes and against being killed at any moment."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from services.core.errors import Aborted, InvalidArgument, NotFound, Unavailable
from services.store.objects import Listed, Progress, Stored

# Unfinished files wait here, on the same filesystem, until a rename makes them visible whole.
TEMPORARY = ".tmp"
_CHUNK_BYTES = 1 << 20


class LocalStore:
    """Objects as files below a root folder. Writes go to a temporary file that is synced, then linked or renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = str(root)

    def get(self, key: str) -> Stored | None:
        """A small object, or None."""
        with self._translated():
            try:
                data = self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Stored(data, _etag(data))

    def put(self, key: str, data: bytes, expected: str | None) -> None:
        """Create by link, which fails if the name is taken; replace under the folder's lock."""
        path = self._path(key)
        with self._translated(), self._temporary() as temporary:
            temporary.write_bytes(data)
            _sync(temporary)
            path.parent.mkdir(parents=True, exist_ok=True)
            if expected is None:
                try:
                    path.hardlink_to(temporary)
                except FileExistsError:
                    raise Aborted(f"{key} is written once. Received: a second write") from None
            else:
                self._replace_if(path, temporary, expected)
            _sync_folders(path.parent, self._root)

    def _replace_if(self, path: Path, temporary: Path, expected: str) -> None:
        with _locked(path.parent):
            if not path.exists() or _etag(path.read_bytes()) != expected:
                raise Aborted(f"{path.name} changed since it was read; read it again and retry")
            temporary.replace(path)

    def upload(self, path: Path, key: str, progress: Progress) -> None:
        """Copy a file in."""
        target = self._path(key)
        with self._translated(), self._temporary() as temporary:
            with path.open("rb") as source, temporary.open("wb") as sink:
                while chunk := source.read(_CHUNK_BYTES):
                    sink.write(chunk)
                    progress(len(chunk))
            _sync(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
            _sync_folders(target.parent, self._root)

    def download(self, key: str, path: Path) -> None:
        """Copy a file out."""
        with self._translated():
            try:
                shutil.copyfile(self._path(key), path)
            except FileNotFoundError as error:
                if not path.parent.is_dir():
                    raise error
                raise NotFound(f"{self.url} has no object {key}") from None

    def list(self, prefix: str) -> Iterator[Listed]:
        """Walk the folder that `prefix` lies in."""
        folder = self._path(prefix) if prefix.endswith("/") or not prefix else self._path(prefix).parent
        with self._translated():
            found = (Path(at, name) for at, _, names in os.walk(folder, onerror=_unless_gone) for name in names)
            keys = sorted(path.relative_to(self._root).as_posix() for path in found if path.is_file())
        for key in keys:
            if not key.startswith(prefix) or key.startswith(f"{TEMPORARY}/"):
                continue
            with suppress(FileNotFoundError):  # deleted while we walked
                facts = (self._root / key).stat()
                yield Listed(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))

    def tags(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Read what lies in the folder: times of files are too coarse to tell two writes apart."""
        with self._translated():
            try:
                names = sorted(path.name for path in self._path(prefix).iterdir())
            except FileNotFoundError:
                return
        for name in names:
            if (stored := self.get(prefix + name)) is not None:
                yield prefix + name, stored.etag

    def folders(self, prefix: str) -> Iterator[str]:
        """The sub-folders of the folder `prefix`."""
        with self._translated():
            try:
                entries = sorted(entry.name for entry in os.scandir(self._path(prefix)) if entry.is_dir())
            except FileNotFoundError:
                return
        yield from (name for name in entries if name != TEMPORARY)

    def delete(self, keys: Iterable[str]) -> None:
        """Unlink files, and the folders this leaves empty."""
        paths = [self._path(key) for key in keys]
        with self._translated():
            for path in paths:
                path.unlink(missing_ok=True)
            for folder in {path.parent for path in paths if path.parent.is_dir()}:
                with suppress(FileNotFoundError):  # somebody else deletes here, too
                    _sync(folder)
                with suppress(OSError):  # not empty: something else lives there
                    folder.rmdir()

    def sweep(self, before: datetime) -> None:
        """Unlink old temporary files."""
        with self._translated():
            for path in (self._root / TEMPORARY).glob("*"):
                with suppress(FileNotFoundError):  # its writer lives, and has just finished
                    if path.stat().st_mtime < before.timestamp():
                        path.unlink()

    def _path(self, key: str) -> Path:
        path = self._root / key
        if ".." in path.parts or Path(key).is_absolute():
            raise InvalidArgument(f"A key stays below the store's root. Received: {key!r}")
        return path

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        path = self._root / TEMPORARY / uuid.uuid4().hex  # not mkstemp: its files only their owner can ever read
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(f"The store {self.url} cannot be used: {error.strerror or error}") from error


def _unless_gone(error: OSError) -> None:
    """For a walk: a folder was deleted meanwhile, or is another's, such as lost+found."""
    if not isinstance(error, FileNotFoundError | PermissionError):
        raise error


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; the kernel gives it back however we end."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folders(folder: Path, root: Path) -> None:
    """Make new names durable, up to the root: the folders may be new too."""
    while True:
        _sync(folder)
        if folder == root or root not in folder.parents:
            return
        folder = folder.parent
