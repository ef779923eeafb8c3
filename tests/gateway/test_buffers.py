"""The short way reads what the general reader reads, and leaves it all that it does not know."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.core.card import InputField
from services.core.errors import TensorgateError
from services.core.tfs import meta_graph_pb2, types_pb2
from services.core.tfs_json import decode_predict
from services.gateway.buffers import read_float_rows, read_with_arrays
from services.gateway.columns import FieldError, column_of

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
VALUES = st.recursive(st.one_of(NUMBERS, st.none(), st.text(max_size=2)), lambda inner: st.lists(inner, max_size=4))


def signatures(dtype: str = "DT_FLOAT", names: tuple[str, ...] = ("x",)) -> dict[str, Any]:
    """One signature with these inputs."""
    definition = meta_graph_pb2.SignatureDef()
    for name in names:
        definition.inputs[name].dtype = types_pb2.DataType.Value(dtype)
    return {"serving_default": definition}


@settings(deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=4, max_side=5), elements=st.floats(-1e30, 1e30)))
def test_numbers_of_any_shape_are_read_by_the_short_way(array: Any) -> None:
    read = read_float_rows(json.dumps({"instances": array.tolist()}).encode(), signatures())
    assert read is not None
    assert np.array_equal(read.inputs["x"], array.astype(np.float32))
    assert read.inputs["x"].shape == array.shape


@settings(deadline=None)
@given(VALUES, st.sampled_from([{}, {"signature_name": ""}, {"signature_name": "serving_default"}]))
def test_whatever_the_short_way_reads_the_general_reader_reads_alike(value: Any, more: dict[str, str]) -> None:
    body = json.dumps({"instances": value, **more}).encode()
    read = read_float_rows(body, signatures())
    if read is None:
        return
    general = decode_predict(body, signatures())
    assert (read.signature_name, read.row_format) == (general.signature_name, general.row_format)
    assert read.inputs["x"].dtype == general.inputs["x"].dtype
    assert np.array_equal(read.inputs["x"], general.inputs["x"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b'{"instances": [1',
        b'{"instances": []}',
        b'{"instances": [[1, 2], [3]]}',
        b'{"instances": [[1], 2]}',
        b'{"instances": [1, true]}',
        b'{"instances": ["1"]}',
        b'{"instances": [NaN]}',
        b'{"instances": [{"x": 1}]}',
        b'{"instances": 1}',
        b'{"inputs": [1]}',
        b'{"instances": [1], "inputs": [1]}',
        b'{"instances": [1], "instances": [2]}',
        b'{"instances": [1], "signature_name": "other"}',
        b'{"instances": [1], "signature_name": 1}',
        b'{"instances": [1], "signature_name": [1]}',
    ],
)
def test_any_other_body_is_left_to_the_general_reader(body: bytes) -> None:
    assert read_float_rows(body, signatures()) is None


def test_other_types_and_several_inputs_are_left_to_the_general_reader() -> None:
    assert read_float_rows(b'{"instances": [1]}', signatures("DT_INT64")) is None
    assert read_float_rows(b'{"instances": [1]}', signatures(names=("x", "y"))) is None


@pytest.mark.timeout(10)
@pytest.mark.parametrize("deep", [32, 64, 400, 1000, 5000])
def test_lists_in_lists_in_lists_are_read_once_each(deep: int) -> None:
    read = read_float_rows(b'{"instances": ' + b"[" * deep + b"1" + b"]" * deep + b"}", signatures())
    assert read is None or read.inputs["x"].shape == (1,) * deep


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_make_it_fail_otherwise_than_the_general_reader(body: bytes) -> None:
    if read_float_rows(body, signatures()) is not None:
        try:
            decode_predict(body, signatures())
        except TensorgateError as error:
            raise AssertionError(f"the general reader refuses {body!r}") from error


def column(field: InputField, rows: list[Any]) -> Any:
    """The array, or what is wrong."""
    try:
        array = column_of(field, [row["x"] for row in rows])
    except FieldError as error:
        return str(error)
    return array.dtype, array.shape, array.tobytes()


@settings(deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"x": VALUES}), min_size=1, max_size=3),
    st.sampled_from(["float32", "float64", "int64", "uint64", "int32", "bool"]),
    st.sampled_from([(), (None,), (2,), (None, None)]),
)
def test_instances_read_as_arrays_become_the_same_columns_and_the_same_errors(
    rows: list[Any], dtype: str, shape: tuple[int | None, ...]
) -> None:
    body = json.dumps({"instances": rows, "top_k": 1}).encode()
    read = read_with_arrays(body)
    if read is None:
        return
    field, general = InputField(name="x", dtype=dtype, shape=shape), orjson.loads(body)
    assert read.keys() == general.keys() and read["top_k"] == 1
    # An array of decimals has forgotten which were written without a point, and their seventeenth digits.
    assert _in_decimals(column(field, read["instances"])) == _in_decimals(column(field, general["instances"]))


def _in_decimals(told: Any) -> Any:
    return (
        re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", lambda found: str(float(found[0])), told)
        if isinstance(told, str)
        else told
    )


@settings(deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=5), elements=st.floats(-1e30, 1e30)))
def test_an_instance_of_numbers_is_read_as_arrays(array: Any) -> None:
    read = read_with_arrays(json.dumps({"instance": {"x": array.tolist(), "y": 1, "z": "a"}}).encode())
    assert read is not None
    assert isinstance(read["instance"]["x"], np.ndarray) and np.array_equal(read["instance"]["x"], array)
    assert (read["instance"]["y"], read["instance"]["z"]) == (1, "a")


@pytest.mark.parametrize("value", ["[1, 2", "[[1, 2]]", '[{"x": [1, "a"]}]', '[{"x": [[1], 2]}]', '[{"x": []}]', "[]"])
def test_what_is_not_all_numbers_is_left_to_the_general_reader(value: str) -> None:
    assert read_with_arrays(f'{{"instances": {value}}}'.encode()) is None
