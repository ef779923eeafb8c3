"""A model server whose answers the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from services.core.tfs import get_model_status_pb2, model_management_pb2
from services.core.tfs_stubs import model_service_pb2_grpc
from services.mirror.model_server import ModelServer
from services.mirror.plan import Key

_State = get_model_status_pb2.ModelVersionStatus.State


@dataclass
class ScriptedServer(model_service_pb2_grpc.ModelServiceServicer):
    """Loads at once what it is asked for; versions in `broken` end with an error. Keeps every config it was sent, and
    the models whose states it was asked.

    Without `takes_in` it accepts a config and does not look at it yet; it tells states once `answers_when` is true.
    """

    broken: set[Key] = field(default_factory=set)
    refusal: tuple[grpc.StatusCode, str] | None = None
    states: dict[Key, str] = field(default_factory=dict)
    takes_in: bool = True
    answers_when: Callable[[], bool] = lambda: True
    address: str = ""
    asked: list[dict[str, tuple[list[int], dict[str, int]]]] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)

    async def GetModelStatus(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        while not self.answers_when():
            await asyncio.sleep(0.01)
        self.looked_at.append(request.model_spec.name)
        reply = get_model_status_pb2.GetModelStatusResponse()
        for (model, version), state in self.states.items():
            if model == request.model_spec.name:
                entry = reply.model_version_status.add(version=version, state=_State.Value(state))
                if state == "END" and (model, version) in self.broken:
                    entry.status.error_code, entry.status.error_message = 2, "out of memory"
        if not reply.model_version_status:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model")
        return reply

    async def HandleReloadConfigRequest(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        configs = request.config.model_config_list.config
        self.asked.append(
            {
                config.name: (list(config.model_version_policy.specific.versions), dict(config.version_labels))
                for config in configs
            }
        )
        if self.refusal is not None:
            await context.abort(*self.refusal)
        if not self.takes_in:
            return model_management_pb2.ReloadConfigResponse()
        wanted = {(c.name, version) for c in configs for version in c.model_version_policy.specific.versions}
        self.states = dict.fromkeys(self.states, "END") | {
            key: "END" if key in self.broken else "AVAILABLE" for key in wanted
        }
        return model_management_pb2.ReloadConfigResponse()

    def restart(self) -> None:
        """Forget everything."""
        self.states.clear()
        self.asked.clear()


@asynccontextmanager
async def listening(servicer: ScriptedServer, address: str = "127.0.0.1:0") -> AsyncIterator[None]:
    """The server, at a free port or where another was before."""
    server = grpc.aio.server()
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(address)
    await server.start()
    servicer.address = f"127.0.0.1:{port}"
    try:
        yield
    finally:
        await server.stop(None)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[tuple[ScriptedServer, ModelServer]]:
    """The server, listening, and a client of it."""
    servicer = ScriptedServer()
    async with listening(servicer):
        client = ModelServer(servicer.address)
        try:
            yield servicer, client
        finally:
            await client.close()
