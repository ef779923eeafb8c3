"""What can be called: models, versions, labels, states, cards. Read from the routing table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.core.refs import ModelRef
from services.gateway.routing_table import ModelRoutes, RoutingTable
from services.gateway.schemas import ModelDetail, ModelSummary


def summaries(table: RoutingTable) -> Sequence[ModelSummary]:
    """All models of the store by name; one that cannot be called yet has no versions, task or title."""
    return [ModelSummary(**_summary(table.models[name])) for name in sorted(table.models)]


def detail(table: RoutingTable, ref: ModelRef) -> ModelDetail:
    """One model with the card of the version a ref means. Raises NotFound or Unavailable."""
    servable = table.find(ref)
    return ModelDetail(
        **_summary(table.models[ref.name]), version=servable.version, card=servable.card.model_dump(mode="json")
    )


def _summary(routes: ModelRoutes) -> dict[str, Any]:
    newest = sorted(routes.servables, reverse=True)
    shown = routes.servables.get(routes.default or 0) or (routes.servables[newest[0]] if newest else None)
    return {
        "name": routes.name,
        "task": shown.card.task.value if shown else "",
        "title": shown.card.title if shown else "",
        "labels": dict(routes.labels),
        "versions": newest,
        "states": dict(routes.states),
    }
