"""Predict: named tensors in, named tensors out (tensorflow_serving/servables/tensorflow/predict_util.cc)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.tensors import DTYPES, Array, from_proto, short_name, to_typed_proto, type_of
from services.core.tfs import meta_graph_pb2, predict_pb2
from services.core.tfs_json import DEFAULT_SIGNATURE
from services.model_server.servable import Servable


def predict(servable: Servable, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """Run one signature.

    Raises FailedPrecondition for an unknown signature, InvalidArgument for inputs or an output filter that do not
    fit it, and what the graph raises.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise FailedPrecondition(f'Serving signature key "{name}" not found.')
    inputs = _inputs(signature, request)
    outputs = run_signature(servable, name, inputs, _output_aliases(signature, request))
    response = predict_pb2.PredictResponse()
    for alias, value in outputs.items():
        response.outputs[alias].MergeFrom(to_typed_proto(value))
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = name
    return response


def run_signature(
    servable: Servable, name: str, inputs: Mapping[str, Array], aliases: Sequence[str] = ()
) -> Mapping[str, Array]:
    """The outputs `aliases` (none: all) for one array an input. Raises InvalidArgument for an array of another type."""
    signature = servable.signatures[name]
    feeds = {signature.inputs[alias].name: array for alias, array in inputs.items()}
    for alias, array in inputs.items():
        info = signature.inputs[alias]
        if array.dtype != DTYPES.get(info.dtype):
            position = sorted(feeds).index(info.name)
            wanted, received = short_name(info.dtype), short_name(type_of(array.dtype))
            raise InvalidArgument(f"Expects arg[{position}] to be {wanted} but {received} is provided")
    fetched = aliases or sorted(signature.outputs)
    values = servable.run(feeds, [signature.outputs[alias].name for alias in fetched])
    return dict(zip(fetched, values, strict=True))


def _inputs(signature: meta_graph_pb2.SignatureDef, request: predict_pb2.PredictRequest) -> Mapping[str, Array]:
    """An array for every input of the signature."""
    _check_input_count(signature, request)
    inputs: dict[str, Array] = {}
    for alias in sorted(signature.inputs):
        if alias in request.inputs:
            proto = request.inputs[alias]
        elif alias in signature.defaults:
            proto = signature.defaults[alias]
        else:
            raise InvalidArgument(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in request and "
                f"no default value provided. Inputs expected to be in the request {_braced(request.inputs)}, or "
                f"default input alias set: {','.join(sorted(signature.defaults))}"
            )
        try:
            inputs[alias] = from_proto(proto)
        except InvalidArgument as error:
            raise InvalidArgument(f"tensor parsing error: {alias}") from error
    return inputs


def _check_input_count(signature: meta_graph_pb2.SignatureDef, request: predict_pb2.PredictRequest) -> None:
    if len(request.inputs) == len(signature.inputs):
        return
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
    """The outputs of the filter, checked."""
    wanted = list(request.output_filter)
    for index, alias in enumerate(wanted):
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_braced(signature.outputs)}."
            )
        if alias in wanted[:index]:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
    return wanted


def _braced(names: Iterable[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
