"""One JSON value to one tensor, and back, by TensorFlow Serving's rules (tensorflow_serving/util/json_tensor.cc)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from services.core.errors import InvalidArgument, Unimplemented
from services.core.tensors import DTYPES, Array, holds, short_name
from services.core.tfs import types_pb2
from services.core.tfs_json_reader import debug_text

B64_KEY = "b64"
BYTES_SUFFIX = "_bytes"
_INT32 = (-(2**31), 2**31 - 1)
# Whole numbers a JSON number must lie in; the small types are read as int32 and wrap, as in TensorFlow Serving.
_RANGES: Mapping[int, tuple[int, int]] = MappingProxyType(
    {
        types_pb2.DT_INT8: _INT32,
        types_pb2.DT_INT16: _INT32,
        types_pb2.DT_INT32: _INT32,
        types_pb2.DT_UINT8: _INT32,
        types_pb2.DT_UINT16: _INT32,
        types_pb2.DT_UINT32: (0, 2**32 - 1),
        types_pb2.DT_INT64: (-(2**63), 2**63 - 1),
        types_pb2.DT_UINT64: (0, 2**64 - 1),
    }
)
_FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)
_DEEPEST = 64  # NumPy's limit on dimensions
_NO_NUMBERS = frozenset({bool, str})  # NumPy takes True for 1; TensorFlow Serving does not


def is_b64(value: Any) -> bool:
    """Whether a value is `{"b64": "..."}`: bytes, not an object."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(B64_KEY), str)


def to_array(value: Any, enum: int) -> Array:
    """A JSON value, nested lists or a scalar, as a tensor of TensorFlow's type `enum`.

    Raises InvalidArgument for a value of another type or ragged lists, Unimplemented for types JSON cannot carry.
    """
    if enum in _FLOATS or enum in _RANGES:
        fast = _numbers(value, enum)
        if fast is not None:
            return fast
    shape = _shape(value)
    leaves: list[Any] = []
    _collect(value, shape, (0, enum), leaves)
    flat = np.empty(len(leaves), DTYPES[enum]) if enum not in _RANGES else np.empty(len(leaves), object)
    flat[:] = leaves
    return _wrapped(flat, enum).reshape(shape)


def _numbers(value: Any, enum: int) -> Array | None:
    """The whole value at once by NumPy; None when that does not work out or might read a bool as a number."""
    if holds(value, _NO_NUMBERS):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind not in ("iuf" if enum in _FLOATS else "iu"):
        return None
    if enum in _FLOATS:
        with np.errstate(over="ignore"):
            return array.astype(DTYPES[enum])
    low, high = _RANGES[enum]
    if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
        return None
    return array.astype(DTYPES[enum])


def _wrapped(flat: Array, enum: int) -> Array:
    if enum not in _RANGES:
        return flat
    return flat.astype(np.uint64 if enum == types_pb2.DT_UINT64 else np.int64).astype(DTYPES[enum])


def _shape(value: Any) -> tuple[int, ...]:
    """The shape that the first elements promise."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > _DEEPEST:
            raise InvalidArgument(f"A tensor has at most {_DEEPEST} dimensions. Received: a list nested deeper")
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _collect(value: Any, shape: Sequence[int], at: tuple[int, int], leaves: list[Any]) -> None:
    """Append all leaves in order; `at` is the level and the type they must have."""
    level, enum = at
    if not isinstance(value, list):
        if level != len(shape):
            raise InvalidArgument(
                f"JSON Value: {debug_text(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        leaves.append(_leaf(value, enum))
        return
    if level >= len(shape):
        raise InvalidArgument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise InvalidArgument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, shape, (level + 1, enum), leaves)


def _leaf(value: Any, enum: int) -> Any:
    if enum == types_pb2.DT_STRING:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if is_b64(value):
            return decoded(value[B64_KEY])
        raise _type_error(value, enum)
    if enum == types_pb2.DT_BOOL:
        if isinstance(value, bool):
            return value
        raise _type_error(value, enum)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if enum in _FLOATS and is_number:
        return value
    if enum in _RANGES and is_number and isinstance(value, int) and _RANGES[enum][0] <= value <= _RANGES[enum][1]:
        return value
    if enum in _FLOATS or enum in _RANGES:
        raise _type_error(value, enum)
    raise Unimplemented(f"Conversion of JSON Value: {debug_text(value)} to type: {short_name(enum)}")


def decoded(text: str) -> bytes:
    """The bytes that base64 stands for. Raises InvalidArgument."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument("Unable to base64 decode") from error


def _type_error(value: Any, enum: int) -> InvalidArgument:
    return InvalidArgument(
        f"JSON Value: {debug_text(value)} Type: {json_type(value)} is not of expected type: {short_name(enum)}"
    )


def json_type(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, dict):
        return "Object"
    if isinstance(value, list):
        return "Array"
    return "String" if isinstance(value, str) else "Number"


def to_json(name: str, array: Array) -> Any:
    """A tensor as `dump` writes it: numbers stay an array; strings become lists, of `{"b64": ...}` if the name ends in
    `_bytes`.

    Other strings are decoded with surrogate escapes, so that bytes which are no UTF-8 can be written back as they are.
    Raises Unimplemented for complex numbers.
    """
    if array.dtype.kind == "c":
        raise Unimplemented(f"JSON has no complex numbers. Received: {array.dtype} in output {name}")
    if array.dtype.kind != "O":
        return (array.astype(np.float32) if array.dtype.kind == "V" else array)[()]
    as_b64 = name.endswith(BYTES_SUFFIX)
    strings = np.empty(array.shape, object)
    for index, value in np.ndenumerate(array):
        strings[index] = _b64(value) if as_b64 else value.decode("utf-8", "surrogateescape")
    return strings.tolist()


def _b64(value: bytes) -> dict[str, str]:
    return {B64_KEY: base64.b64encode(value).decode()}
