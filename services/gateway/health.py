"""Health over gRPC (grpc.health.v1): the whole server, the service, and each model by its name."""

from __future__ import annotations

from services.core.tfs_methods import PREDICTION
from services.gateway.routing_table import RoutingTable
from services.rpc.health import HealthServicer

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
