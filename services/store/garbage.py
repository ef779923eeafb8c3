"""What may go: versions nobody points at, beyond the newest few, and what dead publishers left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from services.store.versions import Store


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
    for model in store.models():
        labelled = set(store.labels(model).values())
        old = superfluous(store.versions(model), labelled, keep)
        for version in [*old, *store.abandoned(model, abandoned_before)]:
            store.remove(model, version)
            gone.append(f"{model}/{version}")
    return gone
