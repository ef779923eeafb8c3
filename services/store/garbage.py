"""What may go: versions nobody points at, beyond the newest few, and what dead publishers left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.core.manifest import MANIFEST_NAME
from services.store.versions import CLAIM_NAME, Store, StoredFile


def superfluous(versions: Sequence[int], labelled: Collection[int], keep: int) -> list[int]:
    """The versions that are neither labelled nor among the newest `keep`, oldest first."""
    newest = set(sorted(versions)[-keep:] if keep else ())
    return [version for version in sorted(versions) if version not in newest and version not in labelled]


def collect_garbage(store: Store, keep: int, abandoned_before: datetime) -> list[str]:
    """Remove what is superfluous in every model, and uploads abandoned before that time; returns what went.

    The time must lie further back than any publisher that still lives may pause between two writes.
    """
    store.sweep(abandoned_before)
    gone = []
    for model, found in _found(store.files()).items():
        abandoned = found.abandoned(abandoned_before)
        labelled = store.labels(model).values() if abandoned or len(found.published) > keep else ()
        old = superfluous(sorted(found.published), labelled, keep)
        # One that is labelled was published, and has lost its manifest: that is for `verify` to tell.
        for version in [*old, *(version for version in abandoned if version not in labelled)]:
            store.remove(model, version)
            gone.append(f"{model}/{version}")
    return gone


@dataclass
class _Found:
    """One model's versions: those that exist, and when each was last written to."""

    published: set[int] = field(default_factory=set)
    written: dict[int, datetime] = field(default_factory=dict)

    def abandoned(self, before: datetime) -> list[int]:
        """Claimed but never published, with nothing written since."""
        return sorted(
            version for version, when in self.written.items() if when < before and version not in self.published
        )


def _found(files: Iterable[StoredFile]) -> Mapping[str, _Found]:
    """By model; the claims alone, which stay for ever, are nothing."""
    found: dict[str, _Found] = {}
    for file in files:
        if file.name == CLAIM_NAME:
            continue
        model = found.setdefault(file.model, _Found())
        if file.name == MANIFEST_NAME:
            model.published.add(file.version)
        model.written[file.version] = max(model.written.get(file.version, file.modified), file.modified)
    return found
