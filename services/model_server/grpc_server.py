"""The gRPC door: bytes to messages, errors to status codes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2_grpc

from services.core.errors import Code, TensorgateError
from services.core.tfs_methods import METHODS
from services.model_server.model_service import ModelService
from services.model_server.prediction_service import PredictionService

log = logging.getLogger(__name__)

Handler = Callable[[Any], Awaitable[bytes]]
# No limit on message sizes, as in TensorFlow Serving; -1 is gRPC's word for that.
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))
# What TensorFlow Serving answers RESOURCE_EXHAUSTED beyond; waiting requests are bounded by it.
_MAX_CONCURRENT_RPCS = 1024


class _Router(grpc.GenericRpcHandler):
    """Looks up the method. Messages are parsed here, because a library's refusal would word its status differently."""

    def __init__(self, methods: Mapping[str, tuple[type[Message], Handler]]) -> None:
        self._handlers: Mapping[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(_unary(message, handler))
            for name, (message, handler) in methods.items()
        }
        self._unknown: Any = grpc.unary_unary_rpc_method_handler(_unimplemented)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method, self._unknown)


def _unary(message: type[Message], handler: Handler) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def call(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            return await handler(message.FromString(request))
        except DecodeError:
            code, text = Code.INTERNAL, ""
        except TensorgateError as error:
            code, text = error.code, error.message
        except Exception:  # the edge of the service: a fault of ours becomes a status, its text stays here
            log.exception("A request failed")
            code, text = Code.INTERNAL, "Internal error; the server's log has it"
        await context.abort(grpc.StatusCode[code.name], text)

    return call


async def _unimplemented(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")


class _Health(health.aio.HealthServicer):
    """The library's health service, with TensorFlow Serving's (that is, gRPC C++'s) text for an unknown name."""

    async def Check(self, request: Any, context: Any) -> Any:
        if request.service not in self._server_status:
            await context.abort(grpc.StatusCode.NOT_FOUND, "service name unknown")
        return await super().Check(request, context)


def build_server(prediction: PredictionService, models: ModelService, with_health: bool) -> grpc.aio.Server:
    """A server with both services, and grpc.health.v1 if asked; ports are added by the caller."""
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MAX_CONCURRENT_RPCS)
    if with_health:
        health_pb2_grpc.add_HealthServicer_to_server(_Health(), server)
    server.add_generic_rpc_handlers((_Router(_methods(prediction, models)),))
    return server


def _methods(prediction: PredictionService, models: ModelService) -> Mapping[str, tuple[type[Message], Handler]]:
    handlers: Mapping[str, Handler] = {
        "Predict": prediction.predict,
        "Classify": prediction.classify,
        "Regress": prediction.regress,
        "MultiInference": prediction.multi_inference,
        "GetModelMetadata": prediction.get_model_metadata,
        "GetModelStatus": models.get_model_status,
        "HandleReloadConfigRequest": models.handle_reload_config_request,
    }
    return {path: (message, handlers[path.rpartition("/")[2]]) for path, message in METHODS.items()}
