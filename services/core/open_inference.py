"""Open Inference's tensors, as numbers in JSON and as bytes, to arrays and back.

Types and the layout of bytes are the protocol's (kserve/open-inference-protocol) and of Triton's binary tensor data
extension: little-endian, row-major; each string of BYTES has its length before it, 32 bits.
"""

from __future__ import annotations

import math
import reprlib
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np

from services.core.errors import InvalidArgument
from services.core.tensors import Array

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
_TAKEN = MappingProxyType({"b": "b", "i": "iu", "u": "iu"})  # kinds of arrays that hold such values; else any number
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
        if dtype is None:
            raise InvalidArgument(f"{name}: a datatype is one of {', '.join(DATATYPES)}. Received: {datatype!r:.40}")
        if min(shape, default=0) < 0:
            raise InvalidArgument(f"{name}: a shape has no negative size. Received: {list(shape)}")
        self.name, self.datatype, self.dtype, self.shape = name, datatype, dtype, tuple(shape)
        self.count = math.prod(shape)

    def of_values(self, values: Any) -> Array:
        """From a list, flat or nested as the shape is; strings of BYTES are UTF-8. Raises InvalidArgument."""
        if not isinstance(values, list):
            raise InvalidArgument(f"{self.name}: data is a list. Received: {type(values).__name__}")
        flat = self._strings(values) if self.dtype.kind == "O" else self._numbers(values)
        self._counted(flat.size, "values")
        return self._shaped(flat)

    def of_contents(self, contents: Any) -> Array:
        """From the field of gRPC's InferTensorContents that is this type's. Raises InvalidArgument."""
        field = _FIELDS.get(self.datatype)
        if field is None:
            raise InvalidArgument(f"{self.name}: {self.datatype} comes in raw_input_contents. Received: contents")
        values = getattr(contents, field)
        self._counted(len(values), f"values in {field}")
        if self.dtype.kind == "O":
            return self._shaped(_objects(values))
        array = np.array(
            values, np.int64 if field == "int_contents" else np.uint32 if field == "uint_contents" else self.dtype
        )
        cast = self._cast(array)
        if cast is None:
            raise InvalidArgument(
                f"{self.name}: contents are values of {self.datatype}. Received: {reprlib.repr(array.tolist())}"
            )
        return self._shaped(cast)

    def of_bytes(self, raw: memoryview | bytes) -> Array:
        """From the tensor's own bytes, which are not copied. Raises InvalidArgument."""
        if self.dtype.kind == "O":
            strings = _split(self.name, raw)
            self._counted(len(strings), "strings")
            return self._shaped(_objects(strings))
        if len(raw) != self.count * self.dtype.itemsize:
            raise InvalidArgument(
                f"{self.name}: {self.datatype} of shape {list(self.shape)} has {self.count * self.dtype.itemsize} "
                f"bytes. Received: {len(raw)}"
            )
        array = np.frombuffer(raw, self.dtype)
        if self.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise InvalidArgument(f"{self.name}: a byte of BOOL is 0 or 1. Received: {array.view(np.uint8).max()}")
        return self._shaped(array)

    def _counted(self, count: int, what: str) -> None:
        if count != self.count:
            raise InvalidArgument(f"{self.name}: shape {list(self.shape)} has {self.count} {what}. Received: {count}")

    def _shaped(self, flat: Array) -> Array:
        try:
            return flat.reshape(self.shape)
        except (ValueError, OverflowError):  # more dimensions, or larger ones, than an array has
            raise InvalidArgument(
                f"{self.name}: that shape is no array's. Received: {list(self.shape)!s:.80}"
            ) from None

    def _numbers(self, values: list[Any]) -> Array:
        try:
            array = np.array(values)
            if array.dtype.kind == "f" and self.dtype.kind in "iu":  # signed and unsigned together
                array = _whole(values, self.dtype)
        except (ValueError, OverflowError):  # ragged, deeper than NumPy goes, or larger than 64 bits
            array = np.array(None)
        cast = self._cast(array) if array.dtype.kind in _TAKEN.get(self.dtype.kind, "iuf") or not array.size else None
        if cast is None or not _finite(cast):
            raise InvalidArgument(f"{self.name}: data is values of {self.datatype}. Received: {reprlib.repr(values)}")
        return cast.reshape(-1)

    def _cast(self, array: Array) -> Array | None:
        """None where the type does not hold a whole number."""
        with np.errstate(over="ignore", invalid="ignore"):
            cast = array.astype(self.dtype)
        return None if self.dtype.kind in "iu" and not np.array_equal(cast, array) else cast

    def _strings(self, values: list[Any]) -> Array:
        flat = _flattened(values)
        if not all(isinstance(value, str) for value in flat):
            raise InvalidArgument(f"{self.name}: data of BYTES is strings. Received: {reprlib.repr(values)}")
        return _objects([value.encode(errors="surrogatepass") for value in flat])


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


def _split(name: str, raw: memoryview | bytes) -> list[bytes]:
    ends, at = [0], 0
    while at < len(raw):
        if len(raw) - at < _LENGTH.size or len(raw) - at - _LENGTH.size < _LENGTH.unpack_from(raw, at)[0]:
            raise InvalidArgument(
                f"{name}: each string of BYTES is whole. Received: {len(raw) - at} bytes for the last"
            )
        at += _LENGTH.size + _LENGTH.unpack_from(raw, at)[0]
        ends.append(at)
    return [bytes(raw[start + _LENGTH.size : end]) for start, end in pairwise(ends)]


def _flattened(values: list[Any]) -> list[Any]:
    while values and isinstance(values[0], list):
        if not all(isinstance(value, list) for value in values):
            return values  # whose lists are no strings
        values = [inner for value in values for inner in value]
    return values


def _objects(strings: Sequence[bytes]) -> Array:
    array = np.empty(len(strings), object)
    array[:] = strings
    return array


def _whole(values: list[Any], dtype: np.dtype[Any]) -> Array:
    """Raises ValueError for what is no whole number, OverflowError for what is too large."""
    flat = _flattened(values)
    if not all(isinstance(value, int) for value in flat):
        raise ValueError
    return np.array(flat, dtype)


def _finite(array: Array) -> bool:
    return array.dtype.kind in "biu" or bool(np.isfinite(array.astype(np.float64)).all())
