"""Instances become arrays by the card: what goes in comes out, and nothing else gets through."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.core.card import InputField
from services.gateway.columns import FieldError, column_of

NUMBERS = st.sampled_from(["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])


@settings(deadline=None)
@given(st.data(), NUMBERS, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
def test_numbers_survive_the_way_from_lists_to_arrays(data: st.DataObject, dtype: str, shape: tuple[int, ...]) -> None:
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("f") else {}
    array = data.draw(hnp.arrays(dtype, shape, elements=elements or None))
    field = InputField(name="x", dtype=dtype, shape=shape[1:])
    column = column_of(field, array.tolist())
    assert column.dtype == array.dtype
    assert np.array_equal(column, array)
    as_doubles = [np.asarray(row, np.float64) for row in array]  # as gRPC brings them
    if np.abs(array.astype(np.float64)).max() < 2**53:
        assert np.array_equal(column_of(field, as_doubles), array)


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_text_becomes_utf8(texts: list[str]) -> None:
    texts = [text.encode(errors="ignore").decode() for text in texts]
    field = InputField(name="x", dtype="string", content="text")
    assert column_of(field, texts).tolist() == [text.encode() for text in texts]


@settings(deadline=None)
@given(st.lists(st.binary(), min_size=1, max_size=5))
def test_bytes_arrive_from_base64_and_as_they_are(values: list[bytes]) -> None:
    field = InputField(name="x", dtype="string", content="image")
    encoded = [{"b64": base64.b64encode(value).decode()} for value in values]
    assert column_of(field, encoded).tolist() == values
    assert column_of(field, values).tolist() == values


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int8", 128),
        ("int32", 2**31),
        ("int64", 2**63),
        ("int64", 1.5),
        ("int64", float("nan")),
        ("float32", float("inf")),
        ("float32", 1e39),
        ("float32", "1"),
        ("float32", None),
        ("float32", True),
        ("int64", False),
        ("bool", 2),
        ("bool", "true"),
    ],
)
def test_what_a_type_cannot_hold_is_refused_and_shown(dtype: str, value: Any) -> None:
    field = InputField(name="x", dtype=dtype)
    with pytest.raises(FieldError, match="x of instance 1 is "):
        column_of(field, [False if dtype == "bool" else 1, value])


@pytest.mark.parametrize("value", [b"\xff", {"b64": "?"}, {"b64": 3}, {"b64": "", "x": 1}, ["a"], 3, None])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(FieldError, match="x of instance 0"):
        column_of(InputField(name="x", dtype="string", content="text"), [value])


def test_free_sizes_accept_any_size_but_one_in_a_request() -> None:
    field = InputField(name="x", dtype="float32", shape=(None, 2))
    assert column_of(field, [[[1, 2]], [[3, 4]]]).shape == (2, 1, 2)
    with pytest.raises(FieldError, match="same shape in every instance"):
        column_of(field, [[[1, 2]], [[3, 4], [5, 6]]])


def test_lists_of_strings_keep_their_shape() -> None:
    field = InputField(name="x", dtype="string", shape=(2,), content="text")
    assert column_of(field, [["a", "b"], ["c", "d"]]).tolist() == [[b"a", b"b"], [b"c", b"d"]]
    with pytest.raises(FieldError, match="x is a list of shape"):
        column_of(field, [["a"], ["b"]])
