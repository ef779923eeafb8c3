"""Predict: named tensors in, named tensors out (tensorflow_serving/servables/tensorflow/predict_util.cc)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.tensors import Array, from_proto, to_typed_proto
from services.core.tfs import meta_graph_pb2, predict_pb2, types_pb2
from services.model_server.servable import Servable

DEFAULT_SIGNATURE = "serving_default"


def predict(servable: Servable, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """Run one signature.

    Raises FailedPrecondition for an unknown signature, InvalidArgument for inputs or an output filter that do not
    fit it, and what the graph raises.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise FailedPrecondition(f'Serving signature key "{name}" not found.')
    feeds = _feeds(signature, request)
    aliases = _output_aliases(signature, request)
    values = servable.run(feeds, [signature.outputs[alias].name for alias in aliases])
    response = predict_pb2.PredictResponse()
    for alias, value in zip(aliases, values, strict=True):
        response.outputs[alias].MergeFrom(to_typed_proto(value))
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = name
    return response


def _feeds(signature: meta_graph_pb2.SignatureDef, request: predict_pb2.PredictRequest) -> Mapping[str, Array]:
    """Tensor name to value, for every input of the signature."""
    _check_input_count(signature, request)
    feeds: dict[str, Array] = {}
    for alias in sorted(signature.inputs):
        info = signature.inputs[alias]
        if alias in request.inputs:
            proto = request.inputs[alias]
        elif alias in signature.defaults:
            proto = signature.defaults[alias]
        else:
            raise InvalidArgument(
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and no default value "
                f"provided. Inputs expected to be in the request {_braced(request.inputs)}, or default input alias "
                f"set: {','.join(sorted(signature.defaults))}"
            )
        try:
            feeds[info.name] = from_proto(proto)
        except InvalidArgument as error:
            raise InvalidArgument(f"tensor parsing error: {alias}") from error
        if proto.dtype != info.dtype:
            position = sorted(tensor.name for tensor in signature.inputs.values()).index(info.name)
            raise InvalidArgument(
                f"Expects arg[{position}] to be {_type(info.dtype)} but {_type(proto.dtype)} is provided"
            )
    return feeds


def _check_input_count(signature: meta_graph_pb2.SignatureDef, request: predict_pb2.PredictRequest) -> None:
    required = signature.inputs.keys() - signature.defaults.keys()
    if len(required) <= len(request.inputs) <= len(signature.inputs):
        return
    raise InvalidArgument(
        f"input size does not match signature: {len(request.inputs)}!={len(signature.inputs)} "
        f"len({_braced(request.inputs)}) != len({_braced(signature.inputs)}). "
        f"Sent extra: {_braced(request.inputs.keys() - signature.inputs.keys())}. "
        f"Missing but required: {_braced(required - request.inputs.keys())}."
    )


def _output_aliases(signature: meta_graph_pb2.SignatureDef, request: predict_pb2.PredictRequest) -> list[str]:
    """The outputs asked for: those of the filter, or all."""
    wanted = list(request.output_filter)
    for index, alias in enumerate(wanted):
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_braced(signature.outputs)}."
            )
        if alias in wanted[:index]:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
    return wanted or sorted(signature.outputs)


def _braced(names: Iterable[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"


def _type(enum: int) -> str:
    """TensorFlow's short name of a type, as in "float" for DT_FLOAT."""
    return str(types_pb2.DataType.Name(enum)).removeprefix("DT_").lower()
