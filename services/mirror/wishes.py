"""What the store's labels want, remembered while they cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field

from services.core.errors import DataLoss, TensorgateError
from services.store import LabelWatch


@dataclass(frozen=True)
class Choice:
    """The models of one mirror of several: `only` these (None: all), `without` those."""

    only: Collection[str] | None = None
    without: Collection[str] = ()

    def __contains__(self, model: str) -> bool:
        return model not in self.without and (self.only is None or model in self.only)


ALL = Choice()


@dataclass(frozen=True)
class Wishes:
    """The labels of every model. Those of the models in `unread` are the last known, for the reason given; `trouble` is
    why nothing of the store could be read.
    """

    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    trouble: str | None = None

    def of(self, models: Choice) -> Wishes:
        """As if no other model had labels."""
        return Wishes(
            {model: labels for model, labels in self.labels.items() if model in models},
            {model: reason for model, reason in self.unread.items() if model in models},
            self.trouble,
        )


def read_wishes(watch: LabelWatch, known: Wishes, served: Set[str]) -> Wishes:
    """Read all labels. A model that cannot be read keeps its labels; a store that cannot be read changes nothing.

    A store without one label, while there are models `served`, is taken for one that is out of reach: an unmounted
    folder or a wrong prefix looks like that, and nobody wants everything unloaded for it.
    """
    try:
        seen = watch.look()
    except TensorgateError as error:
        return _unreadable(known, served, error.message)
    if not seen and served:
        return _unreadable(known, served, "The store has no labels at all")
    unread = {model: labels.message for model, labels in seen.items() if isinstance(labels, DataLoss)}
    return Wishes(
        {
            model: known.labels.get(model, {}) if isinstance(labels, DataLoss) else labels
            for model, labels in seen.items()
        },
        unread,
    )


def _unreadable(known: Wishes, served: Set[str], reason: str) -> Wishes:
    return Wishes(known.labels, dict.fromkeys(sorted(served | set(known.labels)), reason), reason)
