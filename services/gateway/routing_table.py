"""Which version answers: an immutable table, made from what the store wants and what the model server has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.core.card import Card
from services.core.errors import NotFound, Unavailable
from services.core.refs import STABLE, ModelRef
from services.core.turns import AVAILABLE, States
from services.gateway.overload import Starting

_MOST_NAMES = 20
_COMING = ("START", "LOADING", "UNKNOWN")
_FURTHEST = ("UNKNOWN", "END", "UNLOADING", "START", "LOADING", AVAILABLE)  # the last is the furthest


@dataclass(frozen=True, eq=False)
class Servable:
    """A version that can be called now: its card, its signatures as the model server describes them, and the addresses
    of the servers where it is AVAILABLE.
    """

    name: str
    version: int
    card: Card
    signature_defs: Mapping[str, Any]
    servers: tuple[str, ...]


@dataclass(frozen=True)
class ModelRoutes:
    """One model. `states` are TensorFlow Serving's, by version, of several servers the furthest; `faults` say why an
    AVAILABLE one cannot be called.

    `routed` says which version answers for each label now; `labels`, which one shall. A `rare` one may be nowhere: its
    server is started when it is asked for.
    """

    name: str
    labels: Mapping[str, int]
    states: States
    servables: Mapping[int, Servable]
    faults: Mapping[int, str]
    routed: Mapping[str, int]
    rare: bool = False

    @property
    def default(self) -> int | None:
        """Which version answers requests without version or label."""
        return self.routed.get(STABLE)

    def find(self, ref: ModelRef) -> Servable:
        """The version a ref means. Raises NotFound, or Unavailable for one that is wanted but not there yet."""
        version = self._version(ref)
        servable = self.servables.get(version)
        if servable is not None:
            return servable
        if version in self.faults:
            raise Unavailable(f"Version {version} of model {self.name} cannot be called: {self.faults[version]}")
        if self.states.get(version) in _COMING or version in self.labels.values():
            if self.rare and not self.states:
                raise Starting(self.name)
            state = self.states.get(version, "not loaded yet")
            raise Unavailable(f"Version {version} of model {self.name} is not ready to answer. Its state: {state}")
        raise NotFound(f"Model {self.name} has versions {_listed(self.servables)}. Received: version {version}")

    def _version(self, ref: ModelRef) -> int:
        if ref.version is not None:
            return ref.version
        if ref.label is not None:
            if ref.label not in self.labels:
                raise NotFound(f"Model {self.name} has labels {_listed(self.labels)}. Received: label {ref.label!r}")
            return self.routed[ref.label]
        if self.default is None:
            raise NotFound(
                f"A request without version or label goes to the label {STABLE!r}, and model {self.name} has none. "
                f"Versions that can be named: {_listed(self.servables)}"
            )
        return self.default


@dataclass(frozen=True)
class RoutingTable:
    """All models of the store, and which model servers answer, by address. Replaced whole, never changed.

    `store_read` is False when the store did not answer, so that labels are the last known.
    """

    models: Mapping[str, ModelRoutes]
    servers: Mapping[str, bool]
    read: bool = True
    store_read: bool = True

    @property
    def reachable(self) -> bool:
        """Whether any model server answers."""
        return any(self.servers.values())

    def find(self, ref: ModelRef) -> Servable:
        """The version that answers `ref`. Raises NotFound or Unavailable."""
        if not self.read:
            raise Unavailable("The gateway has just started and does not know the models yet; try again in a moment.")
        routes = self.models.get(ref.name)
        if routes is None:
            raise NotFound(f"The models here are {_listed(self.models)}. Received: model {ref.name!r}")
        if not self.reachable and not routes.rare:
            raise Unavailable("The model server does not answer; try again in a moment.")
        return routes.find(ref)

    @property
    def ready(self) -> bool:
        """True when a model server answers and, if any model has a `stable`, at least one of them can be called.

        One model that cannot be loaded does not take the others off the air, so not all of them must be there; where
        all are rare, none.
        """
        stable = [routes for routes in self.models.values() if STABLE in routes.labels]
        callable_now = any(routes.default in routes.servables for routes in stable)
        return self.reachable and (callable_now or all(routes.rare for routes in stable))


NOTHING_READ = RoutingTable({}, servers={}, read=False)


def merged(states: Sequence[States]) -> States:
    """Of each version the furthest state on any server."""
    versions = sorted({version for one in states for version in one}, reverse=True)
    return {
        version: max((one[version] for one in states if version in one), key=_FURTHEST.index) for version in versions
    }


def routed_versions(
    labels: Mapping[str, int], available: Mapping[int, Servable], previous: Mapping[str, int]
) -> Mapping[str, int]:
    """Which version answers for each label: the one it points at, or while that is loading, the one before it.

    With several servers it is loading until as many have it as have the one before: the first of ten to be done would
    else get the requests of all. That ends, because where the next version is there, the mirror unloads the one before.
    A gateway that has just started knows nothing before; for `stable` that is then the newest version no label names,
    because the mirror keeps nothing else.
    """
    unlabelled = max((version for version in available if version not in labels.values()), default=None)

    def routed(label: str, wanted: int) -> int:
        before = previous.get(label)
        if before is None or before not in available:
            before = unlabelled if label == STABLE else None
        if before is None or (wanted in available and places(wanted) >= places(before)):
            return wanted
        return before

    def places(version: int) -> int:
        return len(available[version].servers)

    return {label: routed(label, wanted) for label, wanted in labels.items()}


def _listed(names: Mapping[Any, Any]) -> str:
    """At most twenty names, for an error message."""
    shown = sorted(names)[:_MOST_NAMES]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return (", ".join(map(str, shown)) or "none") + more
