"""TensorFlow Serving's PredictionService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf.message import Message

from services.core.errors import InvalidArgument
from services.core.tfs import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)
from services.core.tfs_json import DEFAULT_SIGNATURE
from services.model_server.inference import classify, multi_inference, regress
from services.model_server.predict import predict
from services.model_server.runner import Call, Runner
from services.model_server.servable import Servable
from services.model_server.server_core import ServerCore
from services.model_server.shortness import kind_of

_SIGNATURE_DEF = "signature_def"


class PredictionService:
    """`check_method`: refuse a signature whose method_name is not the one the RPC is for."""

    def __init__(self, core: ServerCore, runner: Runner, check_method: bool) -> None:
        self._core = core
        self._runner = runner
        self._check_method = check_method

    async def predict(self, request: predict_pb2.PredictRequest) -> bytes:
        """Serialized PredictResponse."""
        spec = _spec_of(request)
        kind = kind_of(request, spec.signature_name or DEFAULT_SIGNATURE)
        return await self._runner.run(Call("Predict", "GRPC"), spec, partial(_answer, predict, request), kind=kind)

    async def classify(self, request: classification_pb2.ClassificationRequest) -> bytes:
        """Serialized ClassificationResponse."""
        return await self._run("Classify", _spec_of(request), partial(_answer, self._checked(classify), request))

    async def regress(self, request: regression_pb2.RegressionRequest) -> bytes:
        """Serialized RegressionResponse."""
        return await self._run("Regress", _spec_of(request), partial(_answer, self._checked(regress), request))

    async def multi_inference(self, request: inference_pb2.MultiInferenceRequest) -> bytes:
        """Serialized MultiInferenceResponse; the first task's spec chooses the version."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        return await self._run("MultiInference", spec, partial(_answer, self._checked(multi_inference), request))

    async def get_model_metadata(self, request: get_model_metadata_pb2.GetModelMetadataRequest) -> bytes:
        """Serialized GetModelMetadataResponse."""
        return metadata(self._core, request).SerializeToString()

    async def _run(self, api: str, spec: model_pb2.ModelSpec, work: Callable[[Servable], bytes]) -> bytes:
        return await self._runner.run(Call(api, "GRPC"), spec, work)

    def _checked(self, method: Callable[[Servable, Any, bool], Message]) -> Callable[[Servable, Any], Message]:
        return lambda servable, request: method(servable, request, self._check_method)


def metadata(
    core: ServerCore, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a servable (servables/tensorflow/get_model_metadata_impl.cc)."""
    if not request.metadata_field:
        raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
    for name in request.metadata_field:
        if name != _SIGNATURE_DEF:
            raise InvalidArgument(f"Metadata field {name} is not supported")
    servable = core.servable(_spec_of(request))
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = servable.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for key, signature in servable.signatures.items():
        signatures.signature_def[key].CopyFrom(signature)
    response.metadata[_SIGNATURE_DEF].Pack(signatures)
    return response


def _spec_of(request: Any) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    return request.model_spec


def _answer(method: Callable[[Servable, Any], Message], request: Message, servable: Servable) -> bytes:
    return method(servable, request).SerializeToString()
