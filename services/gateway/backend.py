"""The only client of a model server: TensorFlow Serving's PredictionService and ModelService."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from services.core.errors import Code, DeadlineExceeded, Internal, TensorgateError, Unavailable, error_of
from services.core.tensors import from_proto, to_proto
from services.core.tfs import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from services.gateway.overload import Overloaded
from services.gateway.request import Call, Columns

_log = logging.getLogger(__name__)

STATUS = "GetModelStatus"
_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # the model server is a neighbour
    # A model server that was restarted is found again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Calls of one that hangs or is cut off fail within 20 seconds, while others may answer; a busy one answers pings.
    # By itself grpc.keepalive_timeout_ms does nothing in gRPC 1.85: a ping has a minute.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.min_reconnect_backoff_ms", 5000),  # an attempt to connect fails after as long
)
# CANCELLED is what a server that stops says of calls it cuts; ours that we cancel ourselves have no status.
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
# gRPC's C++ server has no thread for the call and has not begun it; old releases say nothing at all.
_FULL = ("Server Threadpool Exhausted", "")


def _open_channel(address: str) -> grpc.aio.Channel:
    """Connects when first used."""
    return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)


class Backend:
    """Translates calls to messages and statuses to errors; tells the log when the model server goes and comes."""

    def __init__(self, address: str) -> None:
        self.address = address
        channel = self._channel = _open_channel(address)
        self._answers = True
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)

    async def predict(self, call: Call) -> Columns:
        """One Predict with the call's remaining time as its deadline. Raises what the model server said."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = call.servable.name
        request.model_spec.version.value = call.servable.version
        request.model_spec.signature_name = call.signature
        for name, array in call.columns.items():
            request.inputs[name].CopyFrom(to_proto(array))
        remaining = call.deadline - asyncio.get_running_loop().time()
        reply = await self._ask(self._prediction.Predict, request, remaining)
        return {name: from_proto(tensor) for name, tensor in reply.outputs.items()}

    async def forward(self, method: str, request: Any, deadline: float) -> Any:
        """Any method of the two services, as it is, within the time left."""
        service = self._models if method == STATUS else self._prediction
        return await self._ask(getattr(service, method), request, deadline - asyncio.get_running_loop().time())

    async def status(self, name: str, seconds: float) -> Any:
        """The GetModelStatusResponse for a model."""
        return await self._ask(self._models.GetModelStatus, status_request(name, None), seconds)

    async def signature_defs(self, name: str, version: int, seconds: float) -> Mapping[str, Any]:
        """The signatures of a version by name."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = name
        request.model_spec.version.value = version
        reply = await self._ask(self._prediction.GetModelMetadata, request, seconds)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(signatures)
        return dict(signatures.signature_def)

    async def _ask(self, method: Any, request: Any, seconds: float) -> Any:
        try:
            reply = await method(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() in _GONE and self._answers:  # once, not at each poll
                self._answers = False
                _log.warning("the model server at %s does not answer: %s", self.address, error.details())
            raise _error_of(error) from None
        if not self._answers:
            self._answers = True
            _log.warning("the model server at %s answers again", self.address)
        return reply

    async def close(self) -> None:
        """End all calls."""
        await self._channel.close()


def status_request(name: str, version: int | None) -> Any:
    """What STATUS is asked: about a model, or one version of it."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


def _error_of(error: grpc.aio.AioRpcError) -> TensorgateError:
    """The model server's own text is for clients, except where it is gRPC's own or a fault's."""
    code, details = Code[error.code().name], error.details() or ""
    if code is Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded("The model server did not answer within the request's time budget.")
    if error.code() in _GONE:
        return Unavailable("The model server does not answer; try again in a moment.")
    if code is Code.RESOURCE_EXHAUSTED and details in _FULL:
        return Overloaded("The model server has as many calls as it takes; try again in a moment.")
    if code in (Code.INTERNAL, Code.UNKNOWN):
        _log.error("model server failed: %s: %s", code.name, details)
        return Internal("The model server failed.")
    return error_of(code, details)
