"""Open Inference's tensors: every array comes back as it went, by each of its three ways; nothing else is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.core.errors import InvalidArgument
from services.core.open_inference import DATATYPES, Stated, datatype_of, fill_contents, to_bytes, to_values
from services.core.tensors import Array
from services.stubs.inference import open_inference_pb2 as pb

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
FLOATS = [name for name in DATATYPES if name.startswith(("FP", "BF"))]


@st.composite
def tensors(draw: st.DrawFn, texts: bool = False) -> Array:
    """Arrays of any type and shape; `texts`: what JSON holds, finite numbers and strings that are UTF-8."""
    name = draw(st.sampled_from(sorted(DATATYPES)))
    shape = draw(SHAPES)
    if name == "BYTES":
        one = st.text(max_size=5).map(str.encode) if texts else st.binary(max_size=5)
        flat = draw(st.lists(one, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        array = np.empty(len(flat), object)
        array[:] = flat
        return array.reshape(shape)
    if name in FLOATS:
        halves = st.integers(-120, 120).map(lambda number: number / 2)  # which all of them hold
        given_ = halves if texts else halves | st.sampled_from([np.nan, np.inf, -np.inf])
        return draw(arrays.arrays(np.float64, shape, elements=given_)).astype(DATATYPES[name])
    return draw(arrays.arrays(DATATYPES[name], shape))


def stated(array: Array) -> Stated:
    return Stated("x", datatype_of(array.dtype), array.shape)


def same(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and to_bytes(one) == to_bytes(other)


@given(tensors())
def test_bytes_come_back_as_they_went(array: Array) -> None:
    assert same(stated(array).of_bytes(memoryview(to_bytes(array))), array)


@given(tensors(texts=True))
def test_json_comes_back_as_it_went_flat_or_nested(array: Array) -> None:
    flat = orjson.loads(orjson.dumps(to_values(array), option=orjson.OPT_SERIALIZE_NUMPY))
    assert same(stated(array).of_values(flat), array)
    if array.ndim and array.size:
        assert same(stated(array).of_values(np.array(flat, object).reshape(array.shape).tolist()), array)


def test_numbers_above_63_bits_stand_beside_small_ones() -> None:
    numbers = [2**64 - 1, 1]
    assert Stated("x", "UINT64", [2, 1]).of_values([[one] for one in numbers]).reshape(-1).tolist() == numbers


@given(tensors())
def test_contents_come_back_as_they_went_where_the_protocol_has_them(array: Array) -> None:
    contents = pb.InferTensorContents()
    if fill_contents(contents, array):
        assert same(stated(array).of_contents(contents), array)
    else:
        assert datatype_of(array.dtype) in ("FP16", "BF16")
        with pytest.raises(InvalidArgument, match="raw_input_contents"):
            stated(array).of_contents(contents)


@pytest.mark.parametrize(
    ("datatype", "shape", "rule"),
    [
        ("FLOAT", [1], "datatype is one of .* Received: 'FLOAT'"),
        ("FP32", [2, -1], "no negative dimension"),
        ("FP32", [0] * 65, "at most 64 dimensions. Received: 65"),
        ("FP32", [0, 2**62, 2**62], "fewer than 2\\^59 values"),
        ("FP32", [2**62] * 60, "fewer than 2\\^59 values"),
        ("FP32", [2**62] * 100_000, "at most 64 dimensions"),  # whose product takes a minute
    ],
)
def test_what_no_tensor_is_is_refused(datatype: str, shape: list[int], rule: str) -> None:
    with pytest.raises(InvalidArgument, match=rule):
        Stated("x", datatype, shape)


@pytest.mark.parametrize(
    ("datatype", "values", "rule"),
    [
        ("FP32", [1, 2, 3], "has 2 values. Received: 3"),
        ("FP32", [1, [2]], "values of FP32"),
        ("FP32", ["1", "2"], "values of FP32"),
        ("FP32", [1, None], "values of FP32"),
        ("FP32", [True, False], "values of FP32"),
        ("FP16", [1, 1e6], "values of FP16"),
        ("FP32", [1, 10**40], "values of FP32"),
        ("INT8", [1, 128], "values of INT8"),
        ("INT8", [1, 1.5], "values of INT8"),
        ("UINT64", [-1, 1], "values of UINT64"),
        ("BOOL", [0, 1], "values of BOOL"),
        ("BYTES", ["a", 1], "strings"),
        ("BYTES", [["a"], "b"], "strings"),
        ("FP32", [1.0, 1e400], "values of FP32"),
        ("FP32", [True, 2], "values of FP32"),
        ("INT32", [True, 2], "values of INT32"),
        ("FP32", ["a" * 4000, *[1] * 4000], "Received: 4001"),
        ("FP32", ["a" * 4000, 1], "values of FP32"),
        ("FP32", [[1, 2]], r"nested as its shape, \[2\]. Received: \[1, 2\]"),
    ],
)
def test_values_of_another_type_are_refused(datatype: str, values: Any, rule: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"x: .*{rule}"):
        Stated("x", datatype, [2]).of_values(values)


@pytest.mark.parametrize(
    ("datatype", "raw", "rule"),
    [
        ("FP32", b"\0" * 7, "has 8 bytes. Received: 7"),
        ("BOOL", b"\0\2", "0 or 1. Received: 2"),
        ("BYTES", b"\1\0\0\0a", "has 2 values. Received: 1"),
        ("BYTES", b"\1\0\0\0a\5\0\0\0b", "is whole. Received: 10 bytes"),
        ("BYTES", b"\1\0\0\0a\0\0", "is whole. Received: 7 bytes"),
        ("BYTES", b"\xff\xff\xff\xff", "is whole"),
    ],
)
def test_bytes_of_another_length_are_refused(datatype: str, raw: bytes, rule: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"x: .*{rule}"):
        Stated("x", datatype, [2]).of_bytes(memoryview(raw))


def test_a_batch_that_lies_the_other_way_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"nested as its shape, \[3, 2\]. Received: \[2, 3\]"):
        Stated("x", "INT32", [3, 2]).of_values([[1, 2, 3], [4, 5, 6]])


def test_no_more_strings_are_read_than_there_must_be() -> None:
    with pytest.raises(InvalidArgument, match=r"has 1 values\. Received: 999996 bytes more"):
        Stated("x", "BYTES", [1]).of_bytes(bytes(1_000_000))


def test_whole_numbers_beyond_their_type_are_refused_in_contents() -> None:
    with pytest.raises(InvalidArgument, match="INT8"):
        Stated("x", "INT8", [1]).of_contents(pb.InferTensorContents(int_contents=[300]))


def test_bytes_that_are_no_text_are_not_put_into_json() -> None:
    with pytest.raises(InvalidArgument, match="UTF-8"):
        to_values(np.array([b"\xff"], object))


def test_types_that_the_protocol_does_not_have_are_named() -> None:
    with pytest.raises(InvalidArgument, match="complex64"):
        datatype_of(np.dtype(np.complex64))
