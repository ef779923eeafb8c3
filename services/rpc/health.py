"""grpc.health.v1: what serves, by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from grpc_health.v1 import health_pb2

from services.core.errors import Code
from services.rpc.call import Call
from services.rpc.messages import Status

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]


class HealthServicer:
    """Whoever watches is told of changes."""

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
            raise Status(Code.NOT_FOUND, "service name unknown")  # as gRPC's C++ server words it
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
