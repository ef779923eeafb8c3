"""The manifest: what a version consists of. It is written last, so a version without one does not exist."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, field_validator

MANIFEST_NAME = "manifest.json"
_CHUNK_BYTES = 1 << 20


class FileEntry(BaseModel):
    """One file of a version: where it lies below the version's folder, its size and its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or PurePosixPath(path).is_absolute():
            raise ValueError(f"a file lies below the version's folder. Received: {path!r}")
        return path


class Manifest(BaseModel):
    """All files of one version of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    model: str
    version: int
    created: datetime
    files: tuple[FileEntry, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hex digits, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Entries for every file below `folder`, sorted by path, with POSIX separators."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        FileEntry(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=sha256_of(path))
        for path in paths
    )
