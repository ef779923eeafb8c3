"""Arrays to TensorProto and back."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.core.errors import InvalidArgument
from services.core.tensors import Array, from_proto, to_proto, to_typed_proto
from services.core.tfs import tensor_pb2, types_pb2

NUMBERS = ("f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16")
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
ANY_NUMBERS = st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays.arrays(dtype, SHAPES))


def strings(values: list[bytes]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def same(one: Array, other: Array) -> bool:
    """Equal to the bit: NaNs too."""
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@given(ANY_NUMBERS)
def test_numbers_come_back_to_the_bit_from_content_and_from_typed_fields(array: Array) -> None:
    assert same(from_proto(to_proto(array)), array)
    assert same(from_proto(to_typed_proto(array)), array)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_strings_come_back_whatever_bytes_they_hold(values: list[bytes]) -> None:
    for pack in (to_proto, to_typed_proto):
        assert from_proto(pack(strings(values))).tolist() == values


def test_bfloat16_comes_back() -> None:
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    assert same(from_proto(to_typed_proto(array)), array)


def test_a_typed_answer_has_its_values_where_tutorials_read_them() -> None:
    proto = to_typed_proto(np.arange(300, dtype=np.float32).reshape(3, 100))
    assert list(proto.float_val) == list(range(300))
    assert [dim.size for dim in proto.tensor_shape.dim] == [3, 100]
    assert not proto.tensor_content


def test_a_short_typed_field_repeats_its_last_value_and_a_long_one_is_cut() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1, 2])
    dim = proto.tensor_shape.dim.add(size=4)
    assert from_proto(proto).tolist() == [1, 2, 2, 2]
    dim.size = 1
    assert from_proto(proto).tolist() == [1]


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": types_pb2.DT_INVALID},
        {"dtype": types_pb2.DT_FLOAT, "size": 2, "tensor_content": b"12345"},
        {"dtype": types_pb2.DT_FLOAT, "size": -1, "float_val": [1.0]},
    ],
)
def test_a_tensor_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    size = fields.pop("size", 1)
    proto = tensor_pb2.TensorProto(**fields)
    proto.tensor_shape.dim.add(size=size)
    with pytest.raises(InvalidArgument):
        from_proto(proto)
