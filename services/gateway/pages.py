"""Pages about the gateway and its models: probes, metrics, what can be called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from services.core.errors import Code
from services.gateway import catalog
from services.gateway.bodies import ref_of
from services.gateway.caller import check_allowed
from services.gateway.faults import CODE_KEY
from services.gateway.health import Health
from services.gateway.routing_table import RoutingTable

METRICS = "/metrics"


class Pages:
    """The endpoints that ask no model anything."""

    def __init__(self, table: Callable[[], RoutingTable], health: Health, registry: CollectorRegistry) -> None:
        self._table = table
        self._health = health
        self._registry = registry
        self._writing = asyncio.Lock()
        self.operations = {"/livez": self.livez, "/readyz": self.readyz, METRICS: self.metrics}

    async def list_models(self, http: Request) -> Response:
        """All models of the store, with the versions that can be called now."""
        return _json({"models": [model.model_dump() for model in catalog.summaries(self._table())]})

    async def show_model(self, http: Request) -> Response:
        """One model: its card, versions, labels and states."""
        ref = ref_of(http)
        check_allowed(ref.name)
        return _json(catalog.detail(self._table(), ref).model_dump())

    async def livez(self, http: Request) -> Response:
        """The process answers. Says nothing of the model server: restarting the gateway would not help that."""
        return _json({"live": True})

    async def readyz(self, http: Request) -> Response:
        """Ready for traffic: not draining, a model server answers, and of the models with a `stable` one can be
        called. One model that does not load does not take the others off the air; with nothing published there is
        nothing to wait for.
        """
        table = self._table()
        ready, servers = self._health.ready(table), table.servers.values()
        http.scope[CODE_KEY] = Code.OK if ready else Code.UNAVAILABLE
        told = {"ready": ready, "model_servers": {"up": sum(servers), "all": len(servers)}}
        return _json(told, 200 if ready else 503)

    async def metrics(self, http: Request) -> Response:
        """Prometheus metrics. Of a thousand models that takes half a second: beside the event loop, one at a time."""
        async with self._writing:
            page = await asyncio.to_thread(generate_latest, self._registry)
        return Response(page, media_type=CONTENT_TYPE_LATEST)


def _json(document: object, status: int = 200) -> Response:
    body = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, status, media_type="application/json")
