"""Open Inference's gRPC door, inference.GRPCInferenceService: tensors as typed contents or as raw bytes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from services.core.errors import InvalidArgument, NotFound, Unavailable
from services.core.open_inference import Stated, datatype_of, fill_contents, to_bytes
from services.core.refs import ModelRef, check_model_name, parse_version
from services.core.tensors import Array
from services.gateway.bodies import read_by
from services.gateway.faults import OPEN_INFERENCE
from services.gateway.grpc_calls import GrpcCalls
from services.gateway.open_inference import (
    Inference,
    Repository,
    check_parameters,
    named_once,
    server_metadata,
    signature_of,
)
from services.gateway.plane import DataPlane
from services.gateway.request import Answer, Request
from services.rpc.call import Call
from services.stubs.inference import open_inference_pb2 as pb


class OpenInferenceGrpc:
    """The service."""

    def __init__(self, plane: DataPlane, repository: Repository, calls: GrpcCalls) -> None:
        self._plane = plane
        self._repository = repository
        self._calls = calls

    async def ServerLive(self, request: pb.ServerLiveRequest, call: Call) -> pb.ServerLiveResponse:
        """The process answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, call: Call) -> pb.ServerReadyResponse:
        """Ready for traffic, as /readyz has it."""
        return pb.ServerReadyResponse(ready=self._repository.ready)

    async def ModelReady(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        """A version can be called now."""
        async with self._answering(call, "model_ready", request.name):
            try:
                self._repository.find(_ref_of(request.name, request.version))
            except (NotFound, Unavailable):
                return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, request: pb.ServerMetadataRequest, call: Call) -> pb.ServerMetadataResponse:
        """Who answers."""
        return pb.ServerMetadataResponse(**server_metadata().model_dump())

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        """The tensors of a model."""
        async with self._answering(call, "model_metadata", request.name):
            told = self._repository.metadata(_ref_of(request.name, request.version))
        return pb.ModelMetadataResponse(**told.model_dump())

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, call: Call) -> pb.RepositoryIndexResponse:
        """All versions."""
        models = [one.model_dump() for one in self._repository.index(ready=request.ready)]
        return pb.RepositoryIndexResponse(models=models)

    async def ModelInfer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        """Tensors in, tensors out."""
        async with self._answering(call, "infer", request.model_name):
            payload = await read_by(_asked, request.ByteSize(), request)
            ref = _ref_of(request.model_name, request.model_version)
            answer = await self._plane.predict(Request(ref, payload, self._calls.deadline(call)))
            return _reply(request, answer, payload.wanted(answer))

    def _answering(self, call: Call, method: str, model: str) -> AbstractAsyncContextManager[None]:
        return self._calls.answering(call, (f"{OPEN_INFERENCE}_grpc", method), model)


def _ref_of(name: str, version: str) -> ModelRef:
    return ModelRef(check_model_name(name), parse_version(version) if version else None)


def _asked(request: pb.ModelInferRequest) -> Inference:
    names = [one.name for one in request.outputs]
    named_once(names)
    parameters = _plain(request.parameters)
    inputs, outputs = (one.parameters for one in request.inputs), (one.parameters for one in request.outputs)
    for told in (parameters, *inputs, *outputs):
        check_parameters(told)
    return Inference(signature_of(parameters), _arrays(request), names)


def _plain(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: getattr(one, one.WhichOneof("parameter_choice") or "", None) for name, one in parameters.items()}


def _arrays(request: pb.ModelInferRequest) -> Mapping[str, Array]:
    named_once([one.name for one in request.inputs])
    stated = [Stated(one.name, one.datatype, one.shape) for one in request.inputs]
    raw = request.raw_input_contents
    if not raw:
        return {one.name: tensor.of_contents(one.contents) for one, tensor in zip(request.inputs, stated, strict=True)}
    if len(raw) != len(stated) or any(one.HasField("contents") for one in request.inputs):
        raise InvalidArgument(
            f"raw_input_contents has one entry for each of {len(stated)} inputs, and none has contents. "
            f"Received: {len(raw)}"
        )
    return {tensor.name: tensor.of_bytes(content) for tensor, content in zip(stated, raw, strict=True)}


def _reply(request: pb.ModelInferRequest, answer: Answer, outputs: Mapping[str, Array]) -> pb.ModelInferResponse:
    """As the request was, raw or not; types that have no contents are always raw, and then all outputs are."""
    servable = answer.servable
    reply = pb.ModelInferResponse(model_name=servable.name, model_version=str(servable.version), id=request.id)
    raw = bool(request.raw_input_contents)
    for name, array in outputs.items():
        tensor = reply.outputs.add(name=name, datatype=datatype_of(array.dtype), shape=array.shape)
        raw = raw or not fill_contents(tensor.contents, array)
    if raw:
        for tensor, array in zip(reply.outputs, outputs.values(), strict=True):
            tensor.ClearField("contents")
            reply.raw_output_contents.append(to_bytes(array))
    return reply
