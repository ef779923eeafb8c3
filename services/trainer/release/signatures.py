"""A plugin's signatures: found to be what their fields say, and traced. Before training, and when they are exported."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import Array, InputField, OutputField, Plugin, Signature
from services.core.card import Task
from services.core.errors import InvalidArgument, received
from services.trainer.faults import told

_IN_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}  # operations that call the process that traced them
# Of these contents the gateway's doors make an answer, one at least.
_ANSWERED_BY = {
    Task.CLASSIFY: ("scores", "values"),
    Task.REGRESS: ("values", "numbers"),
    Task.GENERATE_IMAGE: ("image",),
}

Tensors = Mapping[str, Array]
Shaped = tuple[str, Sequence[int | None] | None]  # dtype and shape of a batched tensor, as far as they are known


def signatures_of(plugin: Plugin[Any], model: Any) -> Mapping[str, Signature]:
    """How the plugin says the model is called. Raises InvalidArgument for what no client could call."""
    with told(plugin, f"signatures of plugin {plugin.name} returns Signatures by name"):
        signatures = plugin.signatures(model)
    if not isinstance(signatures, Mapping) or not all(isinstance(one, Signature) for one in signatures.values()):
        raise InvalidArgument(f"signatures returns Signatures by name. Received: {type(signatures).__name__}")
    if plugin.task not in (signature.task for signature in signatures.values()):
        raise InvalidArgument(
            f"A plugin for {plugin.task} has a signature for that. Received: {', '.join(signatures) or 'no signature'}"
        )
    for name, signature in signatures.items():
        _check_contents(name, signature)
    return signatures


def traced(signatures: Mapping[str, Signature]) -> Mapping[str, Any]:
    """Each signature's function, traced once for any number of rows.

    Raises InvalidArgument if it does not take or return what the fields say, as far as its graph tells.
    """
    return {name: _traced(name, signature) for name, signature in signatures.items()}


def example_of(name: str, signature: Signature) -> Tensors:
    """The signature's example as tensors of one row. Raises InvalidArgument if it is not what the fields say."""
    known = {field.name for field in signature.inputs}
    if unknown := set(signature.example) - known:
        raise InvalidArgument(
            f"The example of signature {name} has its inputs: {', '.join(sorted(known))}. Received: {sorted(unknown)}"
        )
    return {
        field.name: _tensor(name, field, signature.example.get(field.name, field.default)) for field in signature.inputs
    }


def check_outputs(name: str, outputs: Sequence[OutputField], answer: Mapping[str, Shaped]) -> None:
    """Names, dtypes and shapes as promised: they are what the card tells the gateway. Raises InvalidArgument."""
    promised = {field.name for field in outputs}
    if set(answer) != promised:
        raise InvalidArgument(f"Signature {name} returns {sorted(promised)}. Received: {sorted(answer)}")
    for field in outputs:
        dtype, shape = answer[field.name]
        promise = (None, *field.shape)  # rows first
        if dtype != field.dtype or not _fits(promise, promise if shape is None else shape):
            raise InvalidArgument(
                f"Output {field.name} of signature {name} is {field.dtype} of shape {_batch(promise)}. "
                f"Received: {dtype} of shape {_batch(shape)}"
            )
        columns = shape[-1] if shape else None
        if field.labels and field.content == "scores" and columns not in (None, len(field.labels)):
            raise InvalidArgument(
                f"Output {field.name} of signature {name} has a label a column. "
                f"Received: {len(field.labels)} labels, {columns} columns"
            )


def _traced(name: str, signature: Signature) -> Any:
    _check_inputs(name, signature)
    specs = [tf.TensorSpec((None, *field.shape), field.dtype, name=field.name) for field in signature.inputs]
    function = tf.function(signature.function, input_signature=specs, autograph=False)
    _check_graph(name, signature, function.get_concrete_function())
    return function


def _check_graph(name: str, signature: Signature, graph: Any) -> None:
    outputs = graph.structured_outputs
    wrong = [outputs] if not isinstance(outputs, Mapping) else [o for o in outputs.values() if not hasattr(o, "dtype")]
    if wrong:
        raise InvalidArgument(
            f"The function of signature {name} returns a dict of tensors. Received: {type(wrong[0]).__name__}"
        )
    answer = {field: _shaped(spec) for field, spec in outputs.items()}
    check_outputs(name, signature.outputs, answer)
    for field, (_, shape) in answer.items():
        if shape and shape[0] is not None:
            raise InvalidArgument(
                f"Output {field} of signature {name} has a row an instance, however many. Received: {_shape(shape)}"
            )
    if _IN_PYTHON & _operations(graph):
        raise InvalidArgument(
            f"Signature {name} is of TensorFlow's operations alone: a model server has no Python of yours. "
            "Received: a py_function or numpy_function"
        )


def _check_contents(name: str, signature: Signature) -> None:
    contents = _ANSWERED_BY.get(signature.task)
    if contents and not any(field.content in contents for field in signature.outputs):
        given = ", ".join(f"{field.name} of {field.content!r}" for field in signature.outputs)
        raise InvalidArgument(
            f"Signature {name} for {signature.task} has an output with the content "
            f"{' or '.join(map(repr, contents))}. Received: {given or 'no output'}"
        )


def _check_inputs(name: str, signature: Signature) -> None:
    parameters = inspect.signature(signature.function).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]
    fields = [field.name for field in signature.inputs]
    if names != (fields if len(names) == len(parameters) else fields[: len(names)]):
        raise InvalidArgument(
            f"The function of signature {name} has its inputs as parameters, in order: {fields}. Received: {names}"
        )
    for field in signature.inputs:
        if not hasattr(tf.dtypes, field.dtype) or tf.as_dtype(field.dtype).name != field.dtype:
            raise InvalidArgument(
                f"Input {field.name} of signature {name} has a dtype such as float32, int64 or string. "
                f"Received: {field.dtype!r}"
            )


def _tensor(signature: str, field: InputField, value: Any) -> Array:
    if value is None:
        raise InvalidArgument(
            f"The example of signature {signature} gives every input without a default. Received: no {field.name}"
        )
    try:
        row = _texts(value) if field.dtype == "string" else np.asarray(value, field.dtype)
    except (TypeError, ValueError):  # of numbers that are none, and of rows that differ in length
        row = None
    if row is None or not _fits(field.shape, row.shape):
        raise InvalidArgument(
            f"The example of signature {signature} gives {field.name} as {field.dtype} of shape {_shape(field.shape)}. "
            f"Received: {received(value)}"
        )
    return row[np.newaxis]


def _texts(value: Any) -> Array:
    encoded = np.vectorize(lambda item: item.encode() if isinstance(item, str) else item, otypes=[object])
    return np.asarray(encoded(np.array(value, object)), object)


def _shaped(spec: tf.TensorSpec) -> Shaped:
    return spec.dtype.name, None if spec.shape.rank is None else spec.shape.as_list()


def _fits(promised: Sequence[int | None], shape: Sequence[int | None]) -> bool:
    """Whether no size contradicts; None is any, or not known."""
    return len(promised) == len(shape) and all(
        None in (size, actual) or size == actual for size, actual in zip(promised, shape, strict=True)
    )


def _batch(shape: Sequence[int | None] | None) -> str:
    """`[rows, 2]`."""
    return "unknown" if shape is None else _shape(shape).replace("[any", "[rows", 1)


def _shape(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def _operations(graph: Any) -> set[str]:
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return {node.op for node in nodes}
