"""TensorFlow Serving's gRPC door, PredictionService and ModelService: its clients change only the address.

Predict goes the common road and shares calls with every other door's requests; what has no tensors to share (classify,
regress, metadata) is routed and passed on. As over REST, one without version or label is answered by
`stable`; and what is loaded follows the store, so that no client can reload it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from services.core.errors import Code, InvalidArgument, NotFound, ResourceExhausted, TensorgateError, Unimplemented
from services.core.refs import ModelRef, is_model_name
from services.core.tensors import DTYPES, elements, from_proto, to_typed_proto
from services.core.tfs import model_pb2, predict_pb2
from services.core.tfs_methods import METHODS
from services.gateway.backends import Backends
from services.gateway.bodies import LARGE
from services.gateway.caller import check_allowed
from services.gateway.faults import tfs_text
from services.gateway.grpc_calls import GrpcCalls
from services.gateway.plane import DataPlane
from services.gateway.request import Request, Tensors
from services.gateway.routing_table import Servable
from services.gateway.tfs_faults import not_found
from services.rpc.call import Call, Method, Unary
from services.rpc.messages import Status

_DOOR = "tfs_grpc"
_DEFAULT_SIGNATURE = "serving_default"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Inputs:
    """A PredictRequest's tensors, which name and shape themselves."""

    request: Any
    most_bytes: int

    def tensors(self, servable: Servable) -> Tensors:
        signature = self.request.model_spec.signature_name or _DEFAULT_SIGNATURE
        inputs = self.request.inputs.items()
        return Tensors(signature, {name: _array(name, tensor, self.most_bytes) for name, tensor in inputs})


class TfsGrpc:
    """Both services. Messages are parsed here: a library's refusal would word its status differently."""

    def __init__(self, plane: DataPlane, backends: Backends, calls: GrpcCalls, most_bytes: int) -> None:
        self._plane = plane
        self._backends = backends
        self._calls = calls
        self._most_bytes = most_bytes
        self.methods: Mapping[str, Method] = {path: Method(unary=self._unary(path)) for path in METHODS}

    def _unary(self, path: str) -> Unary:
        message, method = METHODS[path], path.rpartition("/")[2]
        answer = {
            "Predict": self._predict,
            "GetModelStatus": self._status,
            "HandleReloadConfigRequest": self._reload,
        }.get(method)

        async def answered(body: bytes, call: Call) -> bytes:
            try:
                request = message.FromString(body)
            except DecodeError:
                raise Status(Code.INTERNAL, "") from None
            specs = _specs_of(request)
            name = specs[0].name if specs else ""
            async with self._calls.answering(call, (_DOOR, method.lower()), name, told=tfs_text):
                deadline = self._calls.deadline(call)
                if answer is not None:
                    reply = await answer(request, deadline)
                else:
                    reply = await self._pass_on(method, request, deadline)
                return bytes(reply.SerializeToString())

        return answered

    async def _predict(self, request: Any, deadline: float) -> Any:
        """Tensors in, tensors out."""
        if not request.inputs:
            return await self._pass_on("Predict", request, deadline)
        ref = _ref_of(request.model_spec if request.HasField("model_spec") else None)
        asked = Request(ref, _Inputs(request, self._most_bytes), deadline, request.ByteSize() > LARGE)
        answer = await _found(ref, self._plane.predict(asked))
        wanted = set(request.output_filter) or answer.columns.keys()
        if not wanted <= answer.columns.keys() or 0 < len(request.output_filter) != len(wanted):
            return await self._pass_on("Predict", request, deadline)  # for the model server's own words
        reply = predict_pb2.PredictResponse()
        reply.model_spec.name, reply.model_spec.signature_name = answer.servable.name, answer.signature
        reply.model_spec.version.value = answer.servable.version
        for name in wanted:
            reply.outputs[name].CopyFrom(to_typed_proto(answer.columns[name]))
        return reply

    async def _pass_on(self, method: str, request: Any, deadline: float) -> Any:
        """The request as it is, but for the version, which the routing table says.

        One for metadata that are not the signatures is the model server's to refuse, whatever the model.
        """
        specs = _specs_of(request)
        for spec in specs:
            check_allowed(spec.name)
        if method == "GetModelMetadata" and list(request.metadata_field) != ["signature_def"]:
            return await self._backends.forward(method, request, deadline)
        ref = _ref_of(specs[0] if specs else None)

        def ask(servable: Servable) -> Awaitable[Any]:
            for spec in specs:
                spec.version.value = servable.version
            return self._backends.forward(method, request, deadline, servable=servable)

        return await _found(ref, self._plane.call(ref, deadline, ask, examples=getattr(request, "input", None)))

    async def _status(self, request: Any, deadline: float) -> Any:
        """The states of a model's versions, as the model server tells them."""
        check_allowed(request.model_spec.name)
        return await self._backends.forward("GetModelStatus", request, deadline)

    async def _reload(self, request: Any, deadline: float) -> Any:
        raise Unimplemented(
            "What is loaded follows the labels in the store (`tensorgate label`). Received: a config to reload"
        )


def _array(name: str, tensor: Any, most_bytes: int) -> Any:
    """A tensor may say one value for a large shape, which takes memory that no message has: that counts, too."""
    dtype, shape = DTYPES.get(tensor.dtype), [dim.size for dim in tensor.tensor_shape.dim]
    try:
        size = elements(shape) * (dtype.itemsize if dtype is not None else 1)
        if size > most_bytes:
            raise ResourceExhausted(f"A tensor has at most {most_bytes} bytes. Received: {name} with {size}")
        return from_proto(tensor)
    except TensorgateError as error:
        if error.code is not Code.INVALID_ARGUMENT:
            raise
        raise InvalidArgument(f"tensor parsing error: {name}") from None


def _specs_of(request: Any) -> list[Any]:
    """What a request names: one model, or of several inferences each its own."""
    if hasattr(request, "tasks"):
        return [task.model_spec for task in request.tasks]
    has_spec = "model_spec" in request.DESCRIPTOR.fields_by_name
    return [request.model_spec] if has_spec and request.HasField("model_spec") else []


def _ref_of(spec: model_pb2.ModelSpec | None) -> ModelRef:
    """Raises InvalidArgument or NotFound in TensorFlow Serving's words."""
    if spec is None:
        raise InvalidArgument("Missing ModelSpec")
    if not spec.name:
        raise InvalidArgument("ModelSpec has no name specified.")
    choice = spec.WhichOneof("version_choice")
    if choice == "version_label":
        if not spec.version_label:
            raise InvalidArgument("Unrecognized servable version label: ")
        return ModelRef(spec.name, label=spec.version_label)
    if choice is None and is_model_name(spec.name):
        return ModelRef(spec.name)
    wanted = f"Latest({spec.name})" if choice is None else f"Specific({spec.name}, {spec.version.value})"
    if not is_model_name(spec.name) or spec.version.value < 1:
        raise NotFound(f"Servable not found for request: {wanted}")
    return ModelRef(spec.name, version=spec.version.value)


async def _found(ref: ModelRef, answer: Awaitable[T]) -> T:
    try:
        return await answer
    except NotFound:
        raise not_found(ref) from None
