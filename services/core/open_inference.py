"""Open Inference's tensors, as numbers in JSON and as bytes, to arrays and back.

Types and the layout of bytes are the protocol's (kserve/open-inference-protocol) and of Triton's binary tensor data
extension: little-endian, row-major; each string of BYTES has its length before it, 32 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np

from services.core.errors import InvalidArgument, received
from services.core.tensors import Array, elements

DATATYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "BOOL": np.dtype(np.bool_),
        **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
        **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
        **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
        "BF16": np.dtype(ml_dtypes.bfloat16),
        "BYTES": np.dtype(object),
    }
)
# The fields of gRPC's InferTensorContents.
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "BOOL": "bool_contents",
        **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
        "INT64": "int64_contents",
        **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
        "UINT64": "uint64_contents",
        "FP32": "fp32_contents",
        "FP64": "fp64_contents",
        "BYTES": "bytes_contents",
    }
)
_NAMES: Mapping[np.dtype[Any], str] = MappingProxyType({dtype: name for name, dtype in DATATYPES.items()})
_LENGTH = struct.Struct("<I")


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a type. Raises InvalidArgument for one that it does not have, such as a complex one."""
    name = _NAMES.get(dtype)
    if name is None:
        raise InvalidArgument(f"Open Inference's types are {', '.join(DATATYPES)}. Received: a tensor of {dtype}")
    return name


class Stated:
    """What a request says of a tensor before its values. Raises InvalidArgument for what no tensor is."""

    def __init__(self, name: str, datatype: str, shape: Sequence[int]) -> None:
        dtype = DATATYPES.get(datatype)
        self.name, self.datatype, self._shape = name, datatype, tuple(shape)
        if dtype is None:
            raise self._fault(f"a datatype is one of {', '.join(DATATYPES)}. Received: {received(datatype)}")
        self._dtype = dtype
        self._count = elements(shape)

    def of_values(self, values: list[Any]) -> Array:
        """From a list, flat or nested as the shape is; strings of BYTES are UTF-8. Raises InvalidArgument."""
        flat, nested = _flattened(values)
        if len(nested) > 1 and nested != self._shape:
            raise self._fault(f"data is flat, or nested as its shape, {list(self._shape)}. Received: {list(nested)}")
        self._counted(len(flat))
        if self._dtype.kind == "O":
            return self._of_texts(flat)
        array = _numbers(flat, self._dtype)
        if array is None:
            raise self._fault(f"data is values of {self.datatype}. Received: {received(values)}")
        return array.reshape(self._shape)

    def of_contents(self, contents: Any) -> Array:
        """From the field of gRPC's InferTensorContents that is this type's. Raises InvalidArgument."""
        field = _FIELDS.get(self.datatype)
        if field is None:
            raise self._fault(f"{self.datatype} comes in raw_input_contents. Received: contents")
        values = getattr(contents, field)
        self._counted(len(values))
        if self._dtype.kind == "O":
            return _objects(values).reshape(self._shape)
        try:
            return np.array(list(values), self._dtype).reshape(self._shape)
        except OverflowError as error:
            raise self._fault(f"contents are values of {self.datatype}. Received: {error}") from None

    def of_bytes(self, raw: memoryview | bytes) -> Array:
        """From the tensor's own bytes, of which numbers are not copied. Raises InvalidArgument."""
        if self._dtype.kind == "O":
            return self._of_strings(memoryview(raw))
        size = self._count * self._dtype.itemsize
        if len(raw) != size:
            told = f"{self.datatype} of shape {list(self._shape)} has {size} bytes"
            raise self._fault(f"{told}. Received: {len(raw)}")
        array = np.frombuffer(raw, self._dtype)
        if self._dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise self._fault(f"a byte of BOOL is 0 or 1. Received: {array.view(np.uint8).max()}")
        return array.reshape(self._shape)

    def _of_texts(self, flat: list[Any]) -> Array:
        if not all(isinstance(value, str) for value in flat):
            raise self._fault(f"data of BYTES is strings. Received: {received(flat)}")
        return _objects([value.encode() for value in flat]).reshape(self._shape)

    def _of_strings(self, raw: memoryview) -> Array:
        """As many as there must be: more are not looked at."""
        strings: list[bytes] = []
        at = 0
        while at < len(raw) and len(strings) < self._count:
            start = at + _LENGTH.size
            at = start + _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else len(raw) + 1
            if at > len(raw):
                raise self._fault(f"each string of BYTES is whole. Received: {len(raw)} bytes, and more announced")
            strings.append(bytes(raw[start:at]))
        if at < len(raw):
            raise self._fault(
                f"shape {list(self._shape)} has {self._count} values. Received: {len(raw) - at} bytes more"
            )
        self._counted(len(strings))
        return _objects(strings).reshape(self._shape)

    def _counted(self, count: int) -> None:
        if count != self._count:
            raise self._fault(f"shape {list(self._shape)} has {self._count} values. Received: {count}")

    def _fault(self, text: str) -> InvalidArgument:
        return InvalidArgument(f"{self.name:.60}: {text}")


def to_values(array: Array) -> Array | list[str]:
    """The flat values that JSON holds: strings of BYTES are UTF-8. Raises InvalidArgument for bytes that are none."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "O":
        try:
            return [value.decode() for value in flat]
        except UnicodeDecodeError:
            raise InvalidArgument(
                "BYTES in JSON are UTF-8; for these ask with `binary_data` or over gRPC. Received: other bytes"
            ) from None
    return flat.astype(np.float32) if flat.dtype == DATATYPES["BF16"] else flat


def fill_contents(contents: Any, array: Array) -> bool:
    """Write the values into gRPC's InferTensorContents; False for a type that it has no field for."""
    field = _FIELDS.get(datatype_of(array.dtype))
    if field is not None:
        getattr(contents, field).extend(array.reshape(-1).tolist())
    return field is not None


def to_bytes(array: Array) -> bytes:
    """The tensor's own bytes."""
    if array.dtype.kind != "O":
        return array.tobytes()
    return b"".join(part for value in array.flat for part in (_LENGTH.pack(len(value)), value))


def _flattened(values: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """The innermost values, and how many lists of what length they lay in; lists of several lengths stay values."""
    shape = [len(values)]
    while values and isinstance(values[0], list):
        length = len(values[0])
        if any(not isinstance(value, list) or len(value) != length for value in values):
            break
        values = list(chain.from_iterable(values))
        shape.append(length)
    return values, tuple(shape)


def _numbers(flat: list[Any], dtype: np.dtype[Any]) -> Array | None:
    """None for what is no value of the type. Looked at one by one: NumPy makes strings of numbers beside a string."""
    kinds = set(map(type, flat))
    if not kinds <= ({bool} if dtype.kind == "b" else {int, float}):
        return None
    if dtype.kind in "iu" and float in kinds:
        if not all(type(value) is int or value.is_integer() for value in flat):
            return None
        flat = list(map(int, flat))
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype if dtype.kind in "biu" else np.float64).astype(dtype, copy=False)
    except OverflowError:
        return None
    return array if dtype.kind in "biu" or np.isfinite(array.astype(np.float64)).all() else None


def _objects(strings: Sequence[bytes]) -> Array:
    array = np.empty(len(strings), object)
    array[:] = strings
    return array
