"""Classify, Regress and MultiInference on tf.Example, as TensorFlow Serving does them.

Sources of the rules and texts: tensorflow_serving/servables/tensorflow/{classifier,regressor,multi_inference}.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.core.errors import InvalidArgument, Unimplemented
from services.core.tensors import Array, type_name
from services.core.tfs import classification_pb2, inference_pb2, input_pb2, meta_graph_pb2, model_pb2, regression_pb2
from services.core.tfs_json import DEFAULT_SIGNATURE
from services.model_server.servable import Servable

CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"
_INPUTS = "inputs"


@dataclass(frozen=True)
class Examples:
    """Serialized tf.Examples and the signature they are for."""

    signature_name: str
    signature: meta_graph_pb2.SignatureDef
    serialized: Array


def classify(
    servable: Servable, request: classification_pb2.ClassificationRequest, check_method: bool
) -> classification_pb2.ClassificationResponse:
    """Labels and scores for every example."""
    signature = _signature(servable, request.model_spec)
    _check_classification(signature, check_method)
    response = classification_pb2.ClassificationResponse()
    response.result.CopyFrom(_classifications(servable, signature, _serialized(request.input)))
    _fill_spec(response.model_spec, request.model_spec, servable)
    return response


def regress(
    servable: Servable, request: regression_pb2.RegressionRequest, check_method: bool
) -> regression_pb2.RegressionResponse:
    """One value for every example."""
    signature = _signature(servable, request.model_spec)
    _check_regression(signature, check_method)
    response = regression_pb2.RegressionResponse()
    response.result.CopyFrom(_regressions(servable, signature, _serialized(request.input)))
    _fill_spec(response.model_spec, request.model_spec, servable)
    return response


def multi_inference(
    servable: Servable, request: inference_pb2.MultiInferenceRequest, check_method: bool
) -> inference_pb2.MultiInferenceResponse:
    """Several classify and regress signatures of one model on the same examples.

    Every task is answered by the version of the first task's spec.
    """
    _check_tasks(request)
    for task in request.tasks:
        signature = servable.signatures.get(_signature_name(task.model_spec))
        if signature is None:
            raise InvalidArgument(f"Requested signature not found in model graph: {_signature_name(task.model_spec)}")
        check = _check_classification if task.method_name == CLASSIFY_METHOD else _check_regression
        check(signature, check_method)
    serialized = _serialized(request.input)
    response = inference_pb2.MultiInferenceResponse()
    for task in request.tasks:
        signature = servable.signatures[_signature_name(task.model_spec)]
        result = response.results.add()
        if task.method_name == CLASSIFY_METHOD:
            result.classification_result.CopyFrom(_classifications(servable, signature, serialized))
        else:
            result.regression_result.CopyFrom(_regressions(servable, signature, serialized))
        _fill_spec(result.model_spec, task.model_spec, servable)
    return response


def _check_tasks(request: inference_pb2.MultiInferenceRequest) -> None:
    seen: set[str] = set()
    for task in request.tasks:
        name = _signature_name(task.model_spec)
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise InvalidArgument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if name in seen:
            raise InvalidArgument(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if task.method_name not in (CLASSIFY_METHOD, REGRESS_METHOD):
            raise Unimplemented(f"Unsupported signature method_name: {task.method_name}")


def _signature_name(spec: model_pb2.ModelSpec) -> str:
    return spec.signature_name or DEFAULT_SIGNATURE


def _signature(servable: Servable, spec: model_pb2.ModelSpec) -> meta_graph_pb2.SignatureDef:
    name = _signature_name(spec)
    if name not in servable.signatures:
        raise InvalidArgument(f"No signature was found with the name: {name}")
    return servable.signatures[name]


def _fill_spec(answered: model_pb2.ModelSpec, asked: model_pb2.ModelSpec, servable: Servable) -> None:
    answered.name = asked.name
    answered.version.value = servable.version
    answered.signature_name = _signature_name(asked)


def _serialized(examples: input_pb2.Input) -> Array:
    """Serialized examples; the shared context goes before each, so that an example's own features win when merged."""
    listed: Sequence[bytes]
    if examples.WhichOneof("kind") == "example_list_with_context":
        context = examples.example_list_with_context.context.SerializeToString()
        listed = [context + example.SerializeToString() for example in examples.example_list_with_context.examples]
    else:
        listed = [example.SerializeToString() for example in examples.example_list.examples]
    if not listed:
        raise InvalidArgument("Input is empty.")
    serialized = np.empty(len(listed), object)
    serialized[:] = listed
    return serialized


def _check_classification(signature: meta_graph_pb2.SignatureDef, check_method: bool) -> None:
    if check_method and signature.method_name != CLASSIFY_METHOD:
        raise InvalidArgument(
            f"Expected classification signature method_name to be {CLASSIFY_METHOD}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise InvalidArgument(f"No classification inputs found in SignatureDef: {signature}")
    if not {"classes", "scores"} & signature.outputs.keys():
        raise InvalidArgument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}"
        )


def _check_regression(signature: meta_graph_pb2.SignatureDef, check_method: bool) -> None:
    if check_method and signature.method_name != REGRESS_METHOD:
        raise InvalidArgument(
            f"Expected regression signature method_name to be {REGRESS_METHOD}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise InvalidArgument(f"No regression inputs found in SignatureDef: {signature}")
    if "outputs" not in signature.outputs:
        raise InvalidArgument(f"No regression outputs found in SignatureDef: {signature}")


def _classifications(
    servable: Servable, signature: meta_graph_pb2.SignatureDef, serialized: Array
) -> classification_pb2.ClassificationResult:
    names = [name for name in ("classes", "scores") if name in signature.outputs]
    fetched = servable.run(
        {signature.inputs[_INPUTS].name: serialized}, [signature.outputs[name].name for name in names]
    )
    outputs = dict(zip(names, fetched, strict=True))
    for name, dtype in (("classes", "string"), ("scores", "float")):
        if name in outputs:
            _check_class_output(name, outputs[name], dtype, len(serialized))
    widths = [output.shape[1] for output in outputs.values()]
    if len(set(widths)) > 1:
        raise InvalidArgument(f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}")
    result = classification_pb2.ClassificationResult()
    for row in range(len(serialized)):
        labels = outputs["classes"][row] if "classes" in outputs else [b""] * widths[0]
        scores = outputs["scores"][row].tolist() if "scores" in outputs else [0.0] * widths[0]
        classes = result.classifications.add().classes
        for label, score in zip(labels, scores, strict=True):
            classes.add(label=label.decode(errors="replace"), score=score)
    return result


def _check_class_output(name: str, output: Array, dtype: str, examples: int) -> None:
    if output.ndim != 2:
        raise InvalidArgument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(output)}")
    if type_name(output.dtype) != f"DT_{dtype.upper()}":
        raise InvalidArgument(f"Expected {name} Tensor of DT_{dtype.upper()}. Got: {type_name(output.dtype)}")
    if output.shape[0] != examples:
        raise InvalidArgument(f"Expected {name} output batch size of {examples}. Got: {output.shape[0]}")


def _regressions(
    servable: Servable, signature: meta_graph_pb2.SignatureDef, serialized: Array
) -> regression_pb2.RegressionResult:
    feeds = {signature.inputs[_INPUTS].name: serialized}
    (output,) = servable.run(feeds, [signature.outputs["outputs"].name])
    if output.ndim not in (1, 2) or (output.ndim == 2 and output.shape[1] != 1):
        raise InvalidArgument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(output)}"
        )
    if output.shape[0] != len(serialized):
        raise InvalidArgument(
            f"Input batch size did not match output batch size: {len(serialized)} vs. {output.shape[0]}"
        )
    if type_name(output.dtype) != "DT_FLOAT":
        raise InvalidArgument(f"Expected output Tensor of DT_FLOAT.  Got: {type_name(output.dtype)}")
    result = regression_pb2.RegressionResult()
    for value in output.reshape(-1).tolist():
        result.regressions.add(value=value)
    return result


def _shape(array: Array) -> str:
    return f"[{','.join(map(str, array.shape))}]"
