"""What to do next: a pure function of what the labels want, what is on disk, and what the model server has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

AVAILABLE = "AVAILABLE"

Key = tuple[str, int]  # model, version


@dataclass(frozen=True)
class Served:
    """One model as the model server shall have it: its versions, and the labels that can be set now."""

    versions: frozenset[int]
    labels: Mapping[str, int]


@dataclass(frozen=True)
class View:
    """What can be seen at one moment. Times are in seconds on one monotonic clock.

    `labels` by model is what the store wants; `on_disk` the whole versions in the folder; `states` TensorFlow Serving's
    state of each version it knows; `held_back` until when a version that failed is left alone; `replaced` since when a
    loaded version has not been wanted.
    """

    now: float
    labels: Mapping[str, Mapping[str, int]]
    on_disk: Collection[Key]
    states: Mapping[Key, str]
    held_back: Mapping[Key, float] = field(default_factory=dict)
    replaced: Mapping[Key, float] = field(default_factory=dict)

    @property
    def wanted(self) -> frozenset[Key]:
        """Every version that a label points at."""
        return frozenset((model, version) for model, labels in self.labels.items() for version in labels.values())


@dataclass(frozen=True)
class Plan:
    """What follows: versions to fetch, the whole config to ask for, versions whose folders can go."""

    fetch: frozenset[Key]
    serve: Mapping[str, Served]
    remove: frozenset[Key]
    replaced: Mapping[Key, float]


def plan(view: View, grace_seconds: float) -> Plan:
    """Fetch what is wanted and missing; serve what is wanted and here; keep the old until the new has taken over."""
    ready = {key for key in view.wanted if view.held_back.get(key, 0) <= view.now}
    keep = _kept(view, grace_seconds)
    serve = (ready & set(view.on_disk)) | set(keep)
    return Plan(
        fetch=frozenset(ready - set(view.on_disk)),
        serve={model: _served(view, model, serve) for model in sorted({model for model, _ in serve})},
        remove=frozenset(
            key for key in view.on_disk if key not in serve and key not in view.wanted and _gone(view.states.get(key))
        ),
        replaced=keep,
    )


def _kept(view: View, grace_seconds: float) -> dict[Key, float]:
    """Loaded versions that nobody wants any more but that still answer, and since when that is so.

    The grace begins when everything the model's labels want is AVAILABLE: until then the old version has no successor.
    Gateways that looked before the change still route to it for a moment.
    """
    kept = {}
    for key, state in view.states.items():
        if state != AVAILABLE or key in view.wanted:
            continue
        since = view.replaced.get(key, view.now) if _succeeded(view, key[0]) else view.now
        if view.now - since < grace_seconds or not _succeeded(view, key[0]):
            kept[key] = since
    return kept


def _succeeded(view: View, model: str) -> bool:
    wanted = view.labels.get(model, {}).values()
    return all(view.states.get((model, version)) == AVAILABLE for version in wanted)


def _served(view: View, model: str, serve: Collection[Key]) -> Served:
    versions = frozenset(version for name, version in serve if name == model)
    labels = view.labels.get(model, {})
    return Served(
        versions,
        {
            label: version
            for label, version in labels.items()
            if version in versions and view.states.get((model, version)) == AVAILABLE
        },
    )


def _gone(state: str | None) -> bool:
    return state is None or state == "END"
