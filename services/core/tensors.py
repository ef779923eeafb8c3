"""NumPy arrays to and from TensorProto, without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidArgument
from services.core.tfs import tensor_pb2, types_pb2

Array = NDArray[Any]
MOST_DIMENSIONS = 64  # NumPy's
LARGEST = 2**59  # values that an array can address: 2^63 bytes, of which the widest takes 16

DTYPES: Mapping[int, np.dtype[Any]] = MappingProxyType(
    {
        types_pb2.DT_FLOAT: np.dtype(np.float32),
        types_pb2.DT_DOUBLE: np.dtype(np.float64),
        types_pb2.DT_HALF: np.dtype(np.float16),
        types_pb2.DT_BFLOAT16: np.dtype(ml_dtypes.bfloat16),
        types_pb2.DT_INT8: np.dtype(np.int8),
        types_pb2.DT_INT16: np.dtype(np.int16),
        types_pb2.DT_INT32: np.dtype(np.int32),
        types_pb2.DT_INT64: np.dtype(np.int64),
        types_pb2.DT_UINT8: np.dtype(np.uint8),
        types_pb2.DT_UINT16: np.dtype(np.uint16),
        types_pb2.DT_UINT32: np.dtype(np.uint32),
        types_pb2.DT_UINT64: np.dtype(np.uint64),
        types_pb2.DT_BOOL: np.dtype(np.bool_),
        types_pb2.DT_STRING: np.dtype(object),
        types_pb2.DT_COMPLEX64: np.dtype(np.complex64),
        types_pb2.DT_COMPLEX128: np.dtype(np.complex128),
    }
)
_ENUMS: Mapping[np.dtype[Any], int] = MappingProxyType({dtype: enum for enum, dtype in DTYPES.items()})

# The typed field of each dtype (tensorflow/core/framework/tensor.proto).
_TYPED_FIELDS: Mapping[int, str] = MappingProxyType(
    {
        types_pb2.DT_FLOAT: "float_val",
        types_pb2.DT_DOUBLE: "double_val",
        types_pb2.DT_HALF: "half_val",
        types_pb2.DT_BFLOAT16: "half_val",
        types_pb2.DT_INT8: "int_val",
        types_pb2.DT_INT16: "int_val",
        types_pb2.DT_INT32: "int_val",
        types_pb2.DT_INT64: "int64_val",
        types_pb2.DT_UINT8: "int_val",
        types_pb2.DT_UINT16: "int_val",
        types_pb2.DT_UINT32: "uint32_val",
        types_pb2.DT_UINT64: "uint64_val",
        types_pb2.DT_BOOL: "bool_val",
        types_pb2.DT_STRING: "string_val",
        types_pb2.DT_COMPLEX64: "scomplex_val",
        types_pb2.DT_COMPLEX128: "dcomplex_val",
    }
)


def type_name(dtype: np.dtype[Any]) -> str:
    """TensorFlow's name of a dtype, as in DT_FLOAT. Raises InvalidArgument for one that TensorFlow does not have."""
    return str(types_pb2.DataType.Name(type_of(dtype)))


def short_name(enum: int) -> str:
    """TensorFlow's short name of a type, as in "float" for DT_FLOAT."""
    return str(types_pb2.DataType.Name(enum)).removeprefix("DT_").lower()


def type_of(dtype: np.dtype[Any]) -> int:
    """TensorFlow's number of a dtype. Raises InvalidArgument for one that TensorFlow does not have."""
    enum = _ENUMS.get(dtype)
    if enum is None:
        raise InvalidArgument(f"A tensor has one of TensorFlow's types. Received: {dtype}")
    return enum


def elements(shape: Sequence[int]) -> int:
    """How many values a shape holds. Raises InvalidArgument for one that no array has.

    Before it multiplies: the product of a hundred thousand sizes takes a minute.
    """
    if len(shape) > MOST_DIMENSIONS:
        raise InvalidArgument(f"A tensor has at most {MOST_DIMENSIONS} dimensions. Received: {len(shape)}")
    if min(shape, default=0) < 0:
        raise InvalidArgument(f"A tensor has no negative dimension. Received: {list(shape)}")
    if math.prod(filter(None, shape)) >= LARGEST:
        raise InvalidArgument(f"A tensor has fewer than 2^59 values, a size of 0 aside. Received: shape {list(shape)}")
    return math.prod(shape)


def holds(value: Any, kinds: Set[type], levels: int = MOST_DIMENSIONS) -> bool:
    """Whether nested lists hold a value of one of the types; for lists of which NumPy can make an array.

    NumPy gives all of them the room of the longest string: a hundred kilobytes of JSON would take gigabytes.
    """
    if not isinstance(value, list):
        return type(value) in kinds
    if value and isinstance(value[0], list):
        return levels > 0 and any(holds(item, kinds, levels - 1) for item in value)
    return not kinds.isdisjoint(map(type, value))


def to_proto(array: Array) -> tensor_pb2.TensorProto:
    """Pack an array: numbers as `tensor_content`, strings (object arrays of bytes) as `string_val`."""
    enum = type_of(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=enum)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if enum == types_pb2.DT_STRING:
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = array.tobytes()
    return proto


# Field number in tensor.proto and element type of the packed fields whose wire form is the array's own bytes.
_PACKED_AS_IS: Mapping[int, tuple[int, np.dtype[Any]]] = MappingProxyType(
    {
        types_pb2.DT_FLOAT: (5, np.dtype("<f4")),
        types_pb2.DT_DOUBLE: (6, np.dtype("<f8")),
        types_pb2.DT_COMPLEX64: (9, np.dtype("<c8")),
        types_pb2.DT_BOOL: (11, np.dtype(np.bool_)),
        types_pb2.DT_COMPLEX128: (12, np.dtype("<c16")),
    }
)
_WIRE_TYPE_BYTES = 2


def to_typed_proto(array: Array) -> tensor_pb2.TensorProto:
    """Pack an array into the typed field of its dtype, as TensorFlow Serving answers: clients read `float_val`.

    Floats, bools and complex numbers are parsed from one buffer in protobuf's packed wire form, at the speed of a copy.
    """
    enum = type_of(array.dtype)
    if enum in _PACKED_AS_IS and array.size:
        number, wire = _PACKED_AS_IS[enum]
        payload = array.astype(wire, copy=False).tobytes()
        proto = tensor_pb2.TensorProto.FromString(
            bytes([number << 3 | _WIRE_TYPE_BYTES]) + _varint(len(payload)) + payload
        )
    else:
        proto = tensor_pb2.TensorProto()
        values = array.view(np.uint16) if _TYPED_FIELDS[enum] == "half_val" else array
        getattr(proto, _TYPED_FIELDS[enum]).extend(values.reshape(-1).tolist())
    proto.dtype = enum
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def _varint(value: int) -> bytes:
    """Protobuf's base-128 varint: seven bits a byte, lowest first, the high bit set on all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def from_proto(proto: tensor_pb2.TensorProto) -> Array:
    """Unpack a tensor from `tensor_content` or its typed field (TensorFlow Serving answers in typed fields).

    A typed field may hold fewer values than the shape (the last one is repeated, as tensor.proto says) or more (the
    rest is dropped, as TensorFlow does).
    Raises InvalidArgument if the type is unknown or the bytes do not fill the shape.
    """
    dtype = DTYPES.get(proto.dtype)
    if dtype is None:
        raise InvalidArgument(f"A tensor has one of TensorFlow's types. Received: enum {proto.dtype}")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    count = elements(shape)
    if proto.tensor_content and dtype.kind == "O":
        raise InvalidArgument(
            f"Strings come in string_val. Received: {len(proto.tensor_content)} bytes of tensor_content"
        )
    if proto.tensor_content:
        if len(proto.tensor_content) != count * dtype.itemsize:
            raise InvalidArgument(
                f"tensor_content has as many bytes as shape {list(shape)} of {dtype} needs, "
                f"{count * dtype.itemsize}. Received: {len(proto.tensor_content)}"
            )
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    return _fill(_typed_values(proto, dtype), count, dtype).reshape(shape)


def _typed_values(proto: tensor_pb2.TensorProto, dtype: np.dtype[Any]) -> Array:
    values = getattr(proto, _TYPED_FIELDS[proto.dtype])
    if proto.dtype in (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16):
        return np.array(values, np.uint16).view(dtype)
    if dtype.kind == "c":
        pairs = np.array(values[: len(values) // 2 * 2], dtype.type(0).real.dtype)
        return pairs.view(dtype)
    if dtype.kind == "O":
        strings = np.empty(len(values), object)
        strings[:] = list(values)
        return strings
    return (
        np.array(values, np.int64).astype(dtype)
        if dtype.kind in "iu" and dtype.itemsize < 8
        else np.array(values, dtype)
    )


def _fill(values: Array, count: int, dtype: np.dtype[Any]) -> Array:
    if len(values) >= count:
        return values[:count]
    filler = values[-1] if len(values) else (b"" if dtype.kind == "O" else dtype.type(0))
    filled = np.full(count, filler, dtype)
    filled[: len(values)] = values
    return filled
