"""Who asks, and what they may ask.

The gates (gate.py) say who it is before a request is read; a context variable carries it, because a request has a task
of its own and everything asked in its name runs in that task or in ones it starts.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace

from services.core.errors import PermissionDenied
from services.gateway.routing_table import RoutingTable


@dataclass(frozen=True)
class Caller:
    """The owner of a key; `models` None: all."""

    name: str
    models: frozenset[str] | None


ANYONE = Caller("", None)  # where no keys are set
CALLER = ContextVar("caller", default=ANYONE)


def check_allowed(model: str) -> None:
    """Raises PermissionDenied when the caller may not ask this model, whether there is one or not."""
    caller = CALLER.get()
    if caller.models is not None and model not in caller.models:
        may = ", ".join(sorted(caller.models)) or "none"
        raise PermissionDenied(f"The key of {caller.name!r} may ask these models: {may}. Received: model {model!r}")


def visible(table: RoutingTable) -> RoutingTable:
    """The table as far as the caller may know it."""
    models = CALLER.get().models
    if models is None:
        return table
    return replace(table, models={name: table.models[name] for name in models & table.models.keys()})
