"""A person's own file as a dataset, where a plugin learns from whatever it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from plugins.contract import Array, Dataset, Source, Url


def own_file(named: str, read: Callable[[Path], Mapping[str, Array]], suffix: str) -> Dataset:
    """The file at a path, in the mirror or at an https:// address; `suffix` is of the name that the last is kept by."""
    if not named.startswith("https://"):
        return Dataset(named, None, read, ())
    # Of this address, not of any file that is called the same.
    name = f"own-{hashlib.sha256(named.encode()).hexdigest()[:12]}{suffix}"
    return Dataset(name, None, read, (Source(Url(named), read),))
