"""What to do next: a pure function of what the labels want, what is on disk, and what the model server has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from services.core.turns import AVAILABLE

Key = tuple[str, int]  # model, version


@dataclass(frozen=True)
class Served:
    """One model as the model server shall have it: its versions, and the labels that can be set now."""

    versions: frozenset[int]
    labels: Mapping[str, int]


@dataclass(frozen=True)
class View:
    """What can be seen at one moment. Times are in seconds on one monotonic clock.

    `labels` by model is what the store wants; `on_disk` the whole versions in the folder; `fetching` those that were on
    their way when `on_disk` was looked at; `states` TensorFlow Serving's state of each version it knows; `held_back`
    until when a version that failed is left alone; `replaced` since when a loaded version has not been wanted; `unread`
    the models whose labels cannot be read now, so that `labels` has at best what they were.
    """

    now: float
    labels: Mapping[str, Mapping[str, int]]
    on_disk: Collection[Key]
    states: Mapping[Key, str]
    held_back: Mapping[Key, float] = field(default_factory=dict)
    replaced: Mapping[Key, float] = field(default_factory=dict)
    unread: Collection[str] = ()
    fetching: Collection[Key] = ()

    @cached_property
    def wanted(self) -> frozenset[Key]:
        """Every version that a label points at."""
        return frozenset((model, version) for model, labels in self.labels.items() for version in labels.values())

    def is_held_back(self, key: Key) -> bool:
        """Whether a version failed too short a time ago to be tried again."""
        return self.held_back.get(key, self.now) > self.now

    def has_succeeded(self, model: str) -> bool:
        """Whether everything the model's labels want is AVAILABLE, so that nothing else of it is needed."""
        wanted = self.labels.get(model, {}).values()
        return model not in self.unread and all(self.states.get((model, version)) == AVAILABLE for version in wanted)


@dataclass(frozen=True)
class Plan:
    """What follows: versions to fetch, the whole config to ask for, versions whose folders can go."""

    fetch: frozenset[Key]
    serve: Mapping[str, Served]
    remove: frozenset[Key]
    replaced: Mapping[Key, float]


def plan(view: View, grace_seconds: float) -> Plan:
    """Fetch what is wanted and missing; serve what is wanted and here; keep the old until the new has taken over."""
    ready = {key for key in view.wanted if not view.is_held_back(key)}
    keep = _kept(view, grace_seconds)
    serve = (ready & set(view.on_disk)) | set(keep) | _best_there_is(view)
    needed = serve | view.wanted
    return Plan(
        fetch=frozenset(ready - set(view.on_disk) - set(view.fetching)),
        serve={model: _served(view, model, versions) for model, versions in _by_model(serve).items()},
        remove=frozenset(
            key
            for key in view.on_disk
            if key not in needed and view.has_succeeded(key[0]) and _gone(view.states.get(key))
        ),
        replaced=keep,
    )


def is_ready(view: View, was_ready: bool, store_is_read: bool) -> bool:
    """Whether requests shall come to this model server: all that is wanted answers, or has failed and waits; from then
    on as long as anything answers. What is here of models whose labels cannot be read counts as wanted.

    A model that is published later, or a version that follows another, does not take the others off the air.
    """
    wanted = view.wanted | {key for key in view.on_disk if key[0] in view.unread}
    if not wanted:
        return store_is_read
    answers = any(state == AVAILABLE for state in view.states.values())
    settled = all(view.states.get(key) == AVAILABLE or view.is_held_back(key) for key in wanted)
    return answers and (was_ready or settled)


def _kept(view: View, grace_seconds: float) -> dict[Key, float]:
    """Loaded versions that nobody wants any more but that still answer, and since when that is so.

    The grace begins when everything the model's labels want is AVAILABLE: until then the old version has no successor.
    Gateways that looked before the change still route to it for a moment.
    """
    kept = {}
    for key, state in view.states.items():
        if state != AVAILABLE or key in view.wanted:
            continue
        succeeded = view.has_succeeded(key[0])
        since = view.replaced.get(key, view.now) if succeeded else view.now
        if view.now - since < grace_seconds or not succeeded:
            kept[key] = since
    return kept


def _best_there_is(view: View) -> set[Key]:
    """All that is on disk of models of which nothing answers, until what their labels want does.

    A model server that restarts amid a roll-out that fails gets back the version that answered before.
    """
    answering = {model for (model, _), state in view.states.items() if state == AVAILABLE}
    return {
        key
        for key in view.on_disk
        if key[0] not in answering and not view.has_succeeded(key[0]) and not view.is_held_back(key)
    }


def _by_model(keys: Iterable[Key]) -> Mapping[str, Collection[int]]:
    """In the order of their names."""
    versions: dict[str, list[int]] = {}
    for model, version in sorted(keys):
        versions.setdefault(model, []).append(version)
    return versions


def _served(view: View, model: str, versions: Collection[int]) -> Served:
    labels = view.labels.get(model, {})
    return Served(
        frozenset(versions),
        {
            label: version
            for label, version in labels.items()
            if version in versions and view.states.get((model, version)) == AVAILABLE
        },
    )


def _gone(state: str | None) -> bool:
    return state is None or state == "END"
