"""TensorFlow Serving's gRPC door, PredictionService and ModelService: its clients change only the address.

Predict goes the common road and shares calls with every other door's requests; what has no tensors to share (classify,
regress, metadata, filtered outputs) is routed and passed on. As over REST, one without version or label is answered
by `stable`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from services.core.errors import InvalidArgument, NotFound, Unimplemented
from services.core.refs import ModelRef
from services.core.tensors import from_proto, to_typed_proto
from services.core.tfs import model_pb2, predict_pb2
from services.gateway.backend import Backend
from services.gateway.grpc_calls import Context, GrpcCalls
from services.gateway.plane import DataPlane
from services.gateway.request import Request, Tensors
from services.gateway.routing_table import Servable
from services.gateway.tfs_faults import not_found

MODEL = "tensorflow.serving.ModelService"
_DOOR = "tfs_grpc"
_DEFAULT_SIGNATURE = "serving_default"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Inputs:
    """A PredictRequest's tensors, which name and shape themselves."""

    request: Any

    def tensors(self, servable: Servable) -> Tensors:
        columns = {name: from_proto(tensor) for name, tensor in self.request.inputs.items()}
        return Tensors(self.request.model_spec.signature_name or _DEFAULT_SIGNATURE, columns)


class Prediction:
    """PredictionService."""

    def __init__(self, plane: DataPlane, backend: Backend, calls: GrpcCalls) -> None:
        self._plane = plane
        self._backend = backend
        self._calls = calls

    async def Predict(self, request: Any, context: Context) -> Any:
        """Tensors in, tensors out."""
        spec = request.model_spec
        if request.output_filter or not request.inputs:
            return await self._pass_on(context, "Predict", request, [spec])
        async with self._calls.answering(context, (_DOOR, "predict"), spec.name):
            ref = _ref_of(spec)
            asked = Request(ref, _Inputs(request), self._calls.deadline(context))
            answer = await _told(ref, self._plane.predict(asked))
            reply = predict_pb2.PredictResponse()
            reply.model_spec.name, reply.model_spec.signature_name = answer.servable.name, answer.signature
            reply.model_spec.version.value = answer.servable.version
            for name, array in answer.columns.items():
                reply.outputs[name].CopyFrom(to_typed_proto(array))
        return reply

    async def Classify(self, request: Any, context: Context) -> Any:
        """tf.Examples to classes."""
        return await self._pass_on(context, "Classify", request, [request.model_spec])

    async def Regress(self, request: Any, context: Context) -> Any:
        """tf.Examples to values."""
        return await self._pass_on(context, "Regress", request, [request.model_spec])

    async def MultiInference(self, request: Any, context: Context) -> Any:
        """Several of the two over the same examples."""
        return await self._pass_on(context, "MultiInference", request, [task.model_spec for task in request.tasks])

    async def GetModelMetadata(self, request: Any, context: Context) -> Any:
        """The signatures of the version that predict would ask."""
        return await self._pass_on(context, "GetModelMetadata", request, [request.model_spec])

    async def _pass_on(self, context: Context, method: str, request: Any, specs: list[Any]) -> Any:
        """The request as it is, but for the version, which the routing table says."""
        spec = specs[0] if specs else model_pb2.ModelSpec()
        async with self._calls.answering(context, (_DOOR, method.lower()), spec.name):
            ref, deadline = _ref_of(spec), self._calls.deadline(context)

            async def ask(servable: Servable) -> Any:
                for each in specs:
                    each.version.value = servable.version
                return await self._backend.forward(method, request, deadline)

            return await _told(ref, self._plane.call(ref, deadline, ask))


class Models:
    """ModelService: what is loaded can be seen, and is changed in the store."""

    def __init__(self, backend: Backend, calls: GrpcCalls) -> None:
        self._backend = backend
        self._calls = calls

    async def GetModelStatus(self, request: Any, context: Context) -> Any:
        """The states of a model's versions."""
        async with self._calls.answering(context, (_DOOR, "getmodelstatus"), request.model_spec.name):
            return await self._backend.forward("GetModelStatus", request, self._calls.deadline(context))

    async def HandleReloadConfigRequest(self, request: Any, context: Context) -> Any:
        """Refused: it would replace all that the mirror keeps loaded."""
        async with self._calls.answering(context, (_DOOR, "handlereloadconfigrequest"), ""):
            raise Unimplemented(
                "What is loaded follows the labels in the store (`tensorgate label`). Received: a config to reload"
            )


def _ref_of(spec: Any) -> ModelRef:
    """Raises InvalidArgument, or NotFound for a name that no model can have."""
    version = spec.version.value if spec.HasField("version") else None
    try:
        return ModelRef(spec.name, version, spec.version_label or None)
    except InvalidArgument:
        if not spec.name:
            raise InvalidArgument("Missing ModelSpec") from None
        raise NotFound(f"Servable not found for request: Latest({spec.name})") from None


async def _told(ref: ModelRef, answer: Awaitable[T]) -> T:
    try:
        return await answer
    except NotFound:
        raise not_found(ref) from None
