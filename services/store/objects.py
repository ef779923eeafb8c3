"""The few things a place to keep objects must do; `local.py` and `s3.py` do them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

Progress = Callable[[int], None]  # called with the bytes moved since the last call


@dataclass(frozen=True)
class Stored:
    """A small object's bytes, and the tag by which a later write can tell that nobody changed it."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class Listed:
    """One object of a listing."""

    key: str
    size: int
    modified: datetime


class Objects(Protocol):
    """Objects by key, as S3 means it. Keys are POSIX paths below the store's root.

    Every write is all or nothing, and durable when the method returns. All methods raise Unavailable, with the store's
    address, when the place cannot be reached.
    """

    url: str

    def get(self, key: str) -> Stored | None:
        """A small object, or None."""
        ...

    def put(self, key: str, data: bytes, expected: str | None) -> None:
        """Write only if the object does not exist (`expected` None) or still has this etag. Raises Aborted if not."""
        ...

    def upload(self, path: Path, key: str, progress: Progress) -> None:
        """Write an object from a file, whatever was there."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Write an object into a file. Raises NotFound."""
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key starts with `prefix`, in key order, page by page."""
        ...

    def tags(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Key and etag, as `get` tells it, of every object in the folder `prefix`; for folders of small ones."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """The next path segment of every key below `prefix` that has more than one, each once, in order."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        ...

    def sweep(self, before: datetime) -> None:
        """Remove what writers that were killed before that time left unfinished, and nobody can see."""
        ...


def no_progress(_: int) -> None:
    """For callers that do not watch."""
