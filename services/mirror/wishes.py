"""What the store's labels want, remembered while they cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from services.core.errors import TensorgateError, Unavailable
from services.store import Store


@dataclass(frozen=True)
class Wishes:
    """The labels of every model. Those of the models in `unread` are the last known, for the reason given; `trouble` is
    why nothing of the store could be read.
    """

    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    trouble: str | None = None


def read_wishes(store: Store, known: Wishes, served: Set[str]) -> Wishes:
    """Read all labels. A model that cannot be read keeps its labels; a store that cannot be read changes nothing.

    A store without one model, while there are models `served`, is taken for one that is out of reach: an unmounted
    folder or a wrong prefix looks like that, and nobody wants everything unloaded for it.
    """
    try:
        models = store.models()
    except TensorgateError as error:
        return _unreadable(known, served, error.message)
    if not models and served:
        return _unreadable(known, served, f"The store {store.url} has no models at all")
    labels: dict[str, Mapping[str, int]] = {}
    unread: dict[str, str] = {}
    for model in models:
        try:
            labels[model] = store.labels(model)
        except Unavailable as error:  # the others would be waited for in vain
            return _unreadable(known, served, error.message)
        except TensorgateError as error:
            unread[model] = error.message
            labels[model] = known.labels.get(model, {})
    return Wishes(labels, unread)


def _unreadable(known: Wishes, served: Set[str], reason: str) -> Wishes:
    return Wishes(known.labels, dict.fromkeys(sorted(served | set(known.labels)), reason), reason)
