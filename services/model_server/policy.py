"""The aspired version policy: which version of one model to load or unload next, decided from a snapshot alone.

This is TensorFlow Serving's availability preserving policy (core/availability_preserving_policy.cc): a new version is
loaded before the old one is unloaded, so a model that serves keeps serving. It costs memory for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """TensorFlow Serving's `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class Snapshot:
    """What the policy may know of a version."""

    version: int
    state: State
    aspired: bool


@dataclass(frozen=True)
class Load:
    """Load this version next."""

    version: int


@dataclass(frozen=True)
class Unload:
    """Unload this version next."""

    version: int


def next_action(snapshots: Iterable[Snapshot]) -> Load | Unload | None:
    """The next step towards the aspired versions, or None when there is none.

    A version that is no longer aspired goes, the lowest first, unless it is the last one available and an aspired one
    is still to come. Otherwise the newest aspired version that has not been started is loaded.
    """
    versions = sorted(snapshots, key=lambda snapshot: snapshot.version)
    surplus = [v for v in versions if v.state is State.AVAILABLE and not v.aspired]
    aspired = [v for v in versions if v.aspired]
    replaced = not aspired or any(v.state is State.AVAILABLE for v in aspired)
    if surplus and (replaced or len(surplus) > 1):
        return Unload(surplus[0].version)
    waiting = [v for v in aspired if v.state is State.START]
    return Load(waiting[-1].version) if waiting else None
