"""TensorFlow Serving's REST predict: JSON bodies to named tensors and named tensors to JSON bodies.

Row format: `instances`, a list of values or of objects, answered by `predictions`. Columnar: `inputs`, answered by
`outputs`. Rules and texts are those of tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from services.core.errors import InvalidArgument, TensorgateError
from services.core.tensors import Array
from services.core.tfs import meta_graph_pb2
from services.core.tfs_json_reader import debug_text, read_object
from services.core.tfs_json_values import is_b64, to_array, to_json

DEFAULT_SIGNATURE = "serving_default"

Types = Mapping[str, int]


@dataclass(frozen=True)
class PredictBody:
    """A decoded predict request."""

    signature_name: str
    inputs: Mapping[str, Array]
    row_format: bool


def decode_predict(body: bytes, signatures: Mapping[str, meta_graph_pb2.SignatureDef]) -> PredictBody:
    """Read a predict body against the signature it names. Raises InvalidArgument with TensorFlow Serving's texts."""
    document = read_object(body)
    name = signature_name(document) or DEFAULT_SIGNATURE
    if name not in signatures:
        raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
    types = {alias: info.dtype for alias, info in sorted(signatures[name].inputs.items())}
    if "instances" in document and "inputs" in document:
        raise InvalidArgument(
            f"JSON Value: {debug_text(document)} Not formatted correctly "
            "expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        return PredictBody(name, _rows(document, types), row_format=True)
    if "inputs" in document:
        return PredictBody(name, _columns(document["inputs"], types), row_format=False)
    raise InvalidArgument("Missing 'inputs' or 'instances' key")


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature a body names, or the empty string."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {debug_text(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def _rows(document: Mapping[str, Any], types: Types) -> Mapping[str, Array]:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise InvalidArgument(f"JSON Value: {debug_text(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise InvalidArgument(f"JSON Value: {debug_text(document)} No values in 'instances' array")
    if _is_object(instances[0]):
        return _named_rows(instances, types)
    if len(types) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map"
        )
    for index, item in enumerate(instances):
        if _is_object(item):
            raise InvalidArgument(f"Expecting value/list but got object at item {index} of input list")
    ((name, enum),) = types.items()
    try:
        return {name: to_array(instances, enum)}
    except TensorgateError:
        _explain([(index, "", item) for index, item in enumerate(instances)], enum)
        raise


def _named_rows(instances: list[Any], types: Types) -> Mapping[str, Array]:
    for index, item in enumerate(instances):
        if not _is_object(item):
            raise InvalidArgument(f"Expecting object but got list at item {index} of input list")
        if item.keys() != types.keys():
            _refuse_keys(index, item, types)
    inputs: dict[str, Array] = {}
    for name, enum in types.items():
        values = [item[name] for item in instances]
        try:
            inputs[name] = to_array(values, enum)
        except TensorgateError:
            _explain([(index, f" key: {name}", value) for index, value in enumerate(values)], enum)
            raise
    return inputs


def _refuse_keys(index: int, item: Mapping[str, Any], types: Types) -> None:
    for name in item:
        if name not in types:
            raise InvalidArgument(
                f"Failed to process element: {index} key: {name} of 'instances' list. "
                f"Error: INVALID_ARGUMENT: JSON object: does not have named input: {name}"
            )
    raise InvalidArgument(
        f"Failed to process element: {index} of 'instances' list. JSON object: {debug_text(item)} "
        f"keys must be equal to: {','.join(types)}"
    )


def _explain(items: list[tuple[int, str, Any]], enum: int) -> None:
    """The values did not make one tensor: find the first that does not make one by itself, or has another shape."""
    size: int | None = None
    for index, key, value in items:
        try:
            array = to_array(value, enum)
            if size is not None and array.size != size:
                raise InvalidArgument(f"Expecting tensor size: {size} but got: {array.size}")
        except TensorgateError as error:
            raise InvalidArgument(
                f"Failed to process element: {index}{key} of 'instances' list. "
                f"Error: {error.code.name}: {error.message}"
            ) from error
        size = array.size


def _columns(inputs: Any, types: Types) -> Mapping[str, Array]:
    if not _is_object(inputs):
        if len(types) > 1:
            raise InvalidArgument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        ((name, enum),) = types.items()
        return {name: to_array(inputs, enum)}
    for name in types:
        if name not in inputs:
            raise InvalidArgument(f"Missing named input: {name} in 'inputs' object.")
    return {name: to_array(inputs[name], enum) for name, enum in types.items()}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_b64(value)


def encode_predict(outputs: Mapping[str, Array], row_format: bool) -> bytes:
    """Write a predict answer; one output is written bare, several under their names.

    Raises InvalidArgument when rows are asked for and the outputs do not have one batch size.
    """
    if row_format:
        return dump({"predictions": _row_values(outputs)}, outputs)
    values = {name: to_json(name, array) for name, array in outputs.items()}
    return dump({"outputs": values if len(values) > 1 else next(iter(values.values()))}, outputs)


def _row_values(outputs: Mapping[str, Array]) -> Any:
    batch = 0
    for name, array in outputs.items():
        if array.ndim == 0:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        if not len(array):
            raise InvalidArgument(f"Tensor name: {name} has invalid batch size: 0 shape: {list(array.shape)}")
        if batch not in (0, len(array)):
            raise InvalidArgument(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch}")
        batch = len(array)
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return to_json(name, array)
    columns = [to_json(name, array) for name, array in outputs.items()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def dump(value: Any, outputs: Mapping[str, Array]) -> bytes:
    """JSON text. NaN and Infinity are written as such, and strings that are no UTF-8 as the bytes they were."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # a surrogate escape, that is a string that is no UTF-8, or a type orjson does not know
        pass
    else:  # orjson writes null for what is not finite: to look for that is quicker than to look at each number
        if b"null" not in text or all(_is_plain(array) for array in outputs.values()):
            return text
    return json.dumps(value, ensure_ascii=False, default=_unpacked).encode("utf-8", "surrogateescape")


def _unpacked(value: Array) -> Any:
    return value.tolist()


def _is_plain(array: Array) -> bool:
    return array.dtype.kind not in "fV" or bool(np.isfinite(array).all())


def error_body(message: str) -> bytes:
    """The body of every error answer."""
    return json.dumps({"error": message}, ensure_ascii=False, indent=4).encode("utf-8", "surrogateescape")
