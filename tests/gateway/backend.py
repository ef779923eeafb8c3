"""A tiny real model server: TensorFlow Serving's two services over grpc.aio, with Python functions for models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from services.core.card import SignatureCard
from services.core.errors import InvalidArgument, NotFound, TensorgateError
from services.core.tensors import Array, from_proto, to_proto
from services.core.tfs import get_model_metadata_pb2, get_model_status_pb2, meta_graph_pb2, predict_pb2, types_pb2
from services.core.tfs_stubs import model_service_pb2_grpc, prediction_service_pb2_grpc

INIT = "__saved_model_init_op"  # which TensorFlow Serving tells of every model

Function = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True)
class Signature:
    """What the card says of it, and what it computes on whole batches."""

    card: SignatureCard
    function: Function


Model = Mapping[str, Signature]


@dataclass
class TinyServer(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """Loaded models by name and version. `pause` is awaited in every Predict; `calls` remembers each one,
    `budgets` the time it was given, `metadata` what came with it."""

    loaded: dict[str, dict[int, Model]] = field(default_factory=dict)
    pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)
    calls: list[tuple[str, int, str, int]] = field(default_factory=list)
    budgets: list[float | None] = field(default_factory=list)
    metadata: list[Mapping[str, Any]] = field(default_factory=list)
    cancelled: int = 0

    async def Predict(self, request: Any, context: Any) -> Any:
        """Run a signature; errors become statuses with their own text."""
        try:
            spec = request.model_spec
            name = spec.signature_name or "serving_default"
            signature = self._find(spec.name, spec.version.value).get(name)
            if signature is None:
                raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
            columns = {name: from_proto(tensor) for name, tensor in request.inputs.items()}
            rows = max((array.shape[0] for array in columns.values() if array.ndim), default=0)
            self.calls.append((spec.name, spec.version.value, spec.signature_name, rows))
            self.budgets.append(context.time_remaining())
            self.metadata.append(dict(context.invocation_metadata()))
            await self.pause()
            outputs = signature.function(columns)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        except TensorgateError as error:
            await context.abort(grpc.StatusCode[error.code.name], error.message)
        return predict_pb2.PredictResponse(outputs={name: to_proto(array) for name, array in outputs.items()})

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """The signatures, as TensorFlow Serving packs them."""
        spec = request.model_spec
        try:
            model = self._find(spec.name, spec.version.value)
        except NotFound as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, error.message)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in model.items():
            signatures.signature_def[name].CopyFrom(signature_def(signature.card))
        signatures.signature_def[INIT].outputs[INIT].name = "NoOp"
        reply = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
        reply.metadata["signature_def"].Pack(signatures)
        return reply

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        """AVAILABLE for what is loaded."""
        versions = self.loaded.get(request.model_spec.name)
        wanted = request.model_spec.version.value
        if not versions or (wanted and wanted not in versions):
            text = f"Could not find any versions of model {request.model_spec.name}"
            await context.abort(grpc.StatusCode.NOT_FOUND, text)
        reply = get_model_status_pb2.GetModelStatusResponse()
        for version in sorted(versions or {}, reverse=True):
            if wanted in (0, version):
                reply.model_version_status.add(version=version, state=30).status.error_code = 0
        return reply

    def _find(self, name: str, version: int) -> Model:
        try:
            return self.loaded[name][version]
        except KeyError:
            raise NotFound(f"Servable not found for request: Specific({name}, {version})") from None


def signature_def(card: SignatureCard) -> Any:
    """As TensorFlow Serving describes it."""
    definition = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for side, fields in ((definition.inputs, card.inputs), (definition.outputs, card.outputs)):
        for item in fields:
            info = side[item.name]
            info.name = f"{item.name}:0"
            info.dtype = types_pb2.DataType.Value(_DTYPES.get(item.dtype, f"DT_{item.dtype.upper()}"))
            for size in (None, *item.shape):
                info.tensor_shape.dim.add(size=-1 if size is None else size)
    return definition


_DTYPES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE"}


class Listener:
    """Puts a tiny server on loopback, always on the same port (0: a free one), as often as it is started."""

    def __init__(self, server: TinyServer, port: int = 0) -> None:
        self._server = server
        self._port = port
        self._rpc: Any = None

    @property
    def address(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen."""
        self._rpc = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self._server, self._rpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self._server, self._rpc)
        self._port = self._rpc.add_insecure_port(self.address)
        await self._rpc.start()

    async def stop(self, seconds: float | None = None) -> None:
        """Stop at once; running calls are cut, after so many seconds."""
        await self._rpc.stop(seconds)


@asynccontextmanager
async def serving(server: TinyServer, port: int = 0) -> AsyncIterator[Listener]:
    """Listen while the context lasts."""
    listener = Listener(server, port)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


def refuse(message: str) -> InvalidArgument:
    """What a graph says of an input it cannot read."""
    return InvalidArgument(f"{message}\n\t [[{{{{node decode/DecodePng}}}}]]")
