"""Health over gRPC (grpc.health.v1): the whole server, the service, and each model by its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from grpc_health.v1 import health_pb2

from services.core.errors import Code
from services.core.tfs_methods import PREDICTION
from services.gateway.routing_table import RoutingTable
from services.rpc.call import Call
from services.rpc.messages import Status

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
INFERENCE, OPEN_INFERENCE_SERVICE = "tensorgate.v1.Inference", "inference.GRPCInferenceService"


class Health:
    """Keeps what is told equal to the routing table, until the gateway drains. Anyone may ask it, so where
    keys are set it tells of no model.
    """

    def __init__(self, *, tells_models: bool) -> None:
        self._tells_models = tells_models
        self.servicer = HealthServicer()
        self.draining = False

    def tell(self, table: RoutingTable) -> None:
        """A new table: flip what changed."""
        serving = dict.fromkeys(("", INFERENCE, PREDICTION, OPEN_INFERENCE_SERVICE), table.ready)
        if self._tells_models:
            serving |= {name: routes.default in routes.servables for name, routes in table.models.items()}
        gone = dict.fromkeys(self.servicer.serving, False)
        if not self.draining:
            self.servicer.tell({**gone, **serving})

    def ready(self, table: RoutingTable) -> bool:
        """Ready for traffic."""
        return table.ready and not self.draining

    def drain(self) -> None:
        """From now on nothing is serving, whatever the table says."""
        self.draining = True
        self.servicer.tell(dict.fromkeys(self.servicer.serving, False))


class HealthServicer:
    """grpc.health.v1.Health: what serves, by name. Whoever watches is told of changes."""

    def __init__(self) -> None:
        self.serving: Mapping[str, bool] = {"": True}
        self._changed = asyncio.Event()

    def tell(self, serving: Mapping[str, bool]) -> None:
        """From now on."""
        if serving != self.serving:
            self.serving = serving
            self._changed.set()
            self._changed = asyncio.Event()

    async def Check(self, request: Any, call: Call) -> Any:
        """How it is now."""
        if request.service not in self.serving:
            raise Status(Code.NOT_FOUND, "")
        return self._status(request.service)

    async def List(self, request: Any, call: Call) -> Any:
        """All of them."""
        return health_pb2.HealthListResponse(statuses={name: self._status(name) for name in self.serving})

    async def Watch(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """How it is, and each time it changes."""
        told = None
        while True:
            changed, status = self._changed, self._status(request.service)
            if status != told:
                yield status
                told = status
            else:
                await changed.wait()

    def _status(self, name: str) -> Any:
        serving = self.serving.get(name)
        status = UNKNOWN if serving is None else SERVING if serving else NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status)
