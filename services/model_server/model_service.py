"""TensorFlow Serving's ModelService: which versions are up, and a new list of models."""

from __future__ import annotations

import asyncio

from services.core.errors import InvalidArgument
from services.core.tfs import get_model_status_pb2, model_management_pb2
from services.model_server.server_core import ServerCore


class ModelService:
    """Status and reload."""

    def __init__(self, core: ServerCore) -> None:
        self._core = core
        self._reloads: set[asyncio.Task[None]] = set()

    async def get_model_status(self, request: get_model_status_pb2.GetModelStatusRequest) -> bytes:
        """Serialized GetModelStatusResponse."""
        return status(self._core, request).SerializeToString()

    async def handle_reload_config_request(self, request: model_management_pb2.ReloadConfigRequest) -> bytes:
        """Serialized ReloadConfigResponse.

        A reload goes on when its caller has given up, as in TensorFlow Serving: half a config would serve nobody.
        """
        reload = asyncio.create_task(self._core.reload(request.config))
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)
        await asyncio.shield(reload)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response.SerializeToString()

    async def close(self) -> None:
        """Give up the reloads that still wait for a model."""
        for reload in self._reloads:
            reload.cancel()
        await asyncio.gather(*self._reloads, return_exceptions=True)


def status(
    core: ServerCore, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of a model's versions, the newest first (servables/tensorflow/get_model_status_impl.cc)."""
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in core.versions(request.model_spec):
        entry = response.model_version_status.add(version=version.number, state=version.state.value)
        entry.status.SetInParent()
        if version.error is not None:
            entry.status.error_code = version.error.code.value
            entry.status.error_message = version.error.message
    return response
