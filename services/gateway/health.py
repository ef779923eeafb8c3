"""Health over gRPC (grpc.health.v1): the whole server, the service, and each model by its name."""

from __future__ import annotations

from grpc_health.v1 import health, health_pb2

from services.core.tfs_methods import PREDICTION
from services.gateway.routing_table import RoutingTable

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
INFERENCE, OPEN_INFERENCE_SERVICE = "tensorgate.v1.Inference", "inference.GRPCInferenceService"


class Health:
    """Keeps the standard servicer equal to the routing table, until the gateway drains. Anyone may ask it, so where
    keys are set it tells of no model.
    """

    def __init__(self, *, tells_models: bool) -> None:
        self._tells_models = tells_models
        self.servicer = health.aio.HealthServicer()
        self.draining = False
        self._told: dict[str, bool] = {}

    async def tell(self, table: RoutingTable) -> None:
        """A new table: flip what changed."""
        serving = dict.fromkeys(("", INFERENCE, PREDICTION, OPEN_INFERENCE_SERVICE), table.ready)
        if self._tells_models:
            serving |= {name: routes.default in routes.servables for name, routes in table.models.items()}
        gone = {name: False for name in self._told if name not in serving}
        for name, up in {**serving, **gone}.items():
            if self._told.get(name) != up:
                await self.servicer.set(name, SERVING if up else NOT_SERVING)
                self._told[name] = up

    def ready(self, table: RoutingTable) -> bool:
        """Ready for traffic."""
        return table.ready and not self.draining

    async def drain(self) -> None:
        """From now on nothing is serving, whatever the table says."""
        self.draining = True
        await self.servicer.enter_graceful_shutdown()
