"""The only client of a model server: TensorFlow Serving's PredictionService and ModelService."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from services.core.errors import Code, DeadlineExceeded, Internal, TensorgateError, Unavailable, error_of
from services.core.tensors import from_proto, to_proto
from services.core.tfs import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)
from services.core.tfs_methods import PATHS, REPLIES
from services.gateway.overload import Overloaded
from services.gateway.request import Call, Columns
from services.gateway.tracing import TRACES, ModelCall, traced
from services.rpc.call import Metadata
from services.rpc.client import Channel
from services.rpc.messages import Status

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

STATUS, METADATA, PREDICT = "GetModelStatus", "GetModelMetadata", "Predict"
# CANCELLED is what a server that stops says of calls it cuts; ours that we cancel ourselves have no status.
_GONE = (Code.UNAVAILABLE, Code.CANCELLED)
# gRPC's C++ server has no thread for the call and has not begun it; old releases say nothing at all.
_FULL = ("Server Threadpool Exhausted", "")
# Of thousands of things: gRPC's servers cancel calls of which a thousand wait, and each call has its seconds to itself.
_ASKED_AT_ONCE = 64


class Backend:
    """Translates calls to messages and statuses to errors; tells the log when the model server goes and comes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = Channel(address)
        self._answers = True

    @property
    def connections(self) -> int:
        """How often it has been connected: who answers over a new connection may be another process."""
        return self._channel.connections

    async def predict(self, call: Call) -> Columns:
        """One Predict with the call's remaining time as its deadline. Raises what the model server said."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = call.servable.name
        request.model_spec.version.value = call.servable.version
        request.model_spec.signature_name = call.signature
        for name, array in call.columns.items():
            request.inputs[name].CopyFrom(to_proto(array))
        remaining = call.deadline - asyncio.get_running_loop().time()
        reply = await self._ask(PREDICT, request, remaining, rows=call.rows)
        return {name: from_proto(tensor) for name, tensor in reply.outputs.items()}

    async def forward(self, method: str, request: Any, deadline: float) -> Any:
        """Any method of the two services, as it is, within the time left."""
        return await self._ask(method, request, deadline - asyncio.get_running_loop().time())

    async def status(self, name: str, seconds: float) -> Any:
        """The GetModelStatusResponse for a model."""
        return await self._ask(STATUS, status_request(name, None), seconds)

    async def signature_defs(self, name: str, version: int, seconds: float) -> Mapping[str, Any]:
        """The signatures of a version by name."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = name
        request.model_spec.version.value = version
        reply = await self._ask(METADATA, request, seconds)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(signatures)
        return dict(signatures.signature_def)

    def _ask(self, method: str, request: Any, seconds: float, *, rows: int | None = None) -> Awaitable[Any]:
        path = PATHS[method]
        if not TRACES.get():
            return self._send(path, request, seconds, ())
        spec = request.tasks[0].model_spec if hasattr(request, "tasks") else request.model_spec
        made = ModelCall(self.address, path, spec.name, spec.version.value, rows)
        return traced(made, lambda metadata: self._send(path, request, seconds, metadata))

    async def _send(self, path: str, request: Any, seconds: float, metadata: Metadata) -> Any:
        message = request.SerializeToString()
        try:
            reply = REPLIES[path].FromString(await self._channel.unary(path, message, seconds, metadata=metadata))
        except Status as error:
            if error.code in _GONE and self._answers:  # once, not at each poll
                self._answers = False
                _log.warning("the model server at %s does not answer: %s", self.address, error.text)
            raise _error_of(error) from None
        except DecodeError as error:
            raise Internal("The model server failed.") from error
        if not self._answers:
            self._answers = True
            _log.warning("the model server at %s answers again", self.address)
        return reply

    async def close(self) -> None:
        """End all calls."""
        await self._channel.close()


async def some_at_once(ask: Callable[[T], Awaitable[R]], things: Sequence[T]) -> list[R]:
    """What is answered about each thing, in their order. Raises what `ask` raises."""
    answers: list[R] = []
    for first in range(0, len(things), _ASKED_AT_ONCE):
        answers += await asyncio.gather(*map(ask, things[first : first + _ASKED_AT_ONCE]))
    return answers


def status_request(name: str, version: int | None) -> Any:
    """What STATUS is asked: about a model, or one version of it."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


def _error_of(error: Status) -> TensorgateError:
    """The model server's own text is for clients, except where it is gRPC's own or a fault's."""
    code, details = error.code, error.text
    if code is Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded("The model server did not answer within the request's time budget.")
    if code in _GONE:
        return Unavailable("The model server does not answer; try again in a moment.")
    if code is Code.RESOURCE_EXHAUSTED and details in _FULL:
        return Overloaded("The model server has as many calls as it takes; try again in a moment.")
    if code in (Code.INTERNAL, Code.UNKNOWN):
        _log.error("model server failed: %s: %s", code.name, details)
        return Internal("The model server failed.")
    return error_of(code, details)
