"""What fuzzing has found, one sentence each."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from services.core.errors import InvalidArgument
from services.core.json_size import MOST_LISTS, MOST_VALUES
from services.core.tensors import from_proto
from services.core.tfs import tensor_pb2, types_pb2
from services.core.tfs_json_reader import read_object
from tests.fuzz.parsers import PARSERS

_LARGE_AND_EMPTY = b"\xff" * 8 + b"\x7f"  # 2^63 - 1, beside a size of 0
_DIGITS = b"9" * 5000  # more than Python reads
_LONG_AND_MANY = b'["' + b"x" * 20_000 + b'"' + b',"a"' * 3000 + b"]"


@pytest.mark.parametrize(
    ("parser", "body"),
    [
        ("predict", b'{"instances": [NaN, %s]}' % _DIGITS),
        ("predict", b'{"a": 1, "a": 1, "instances": [%s]}' % _DIGITS),
        ("path", b"POST /v1/models/a/versions/%s:predict" % _DIGITS),
        ("examples", b'{"examples": [{"a": {"b64": "A"}}]}'),
        ("examples", b'{"examples": [{"a": {"b64": "\xc3\xa9"}}]}'),
        ("examples", b'{"examples": [{"\xff": 1}]}'),
        ("examples", b'{"signature_name": "\xff", "examples": [{"a": 1}]}'),
        ("classify", b'{"instance": {"image_bytes": {"b64": "\xc3\xa9"}}}'),
        ("classify", b'{"instance": {"\\u00e4": 1, "a": "%s"}}' % (b"x" * 600)),
        ("grpc_regress", b'\x12\x15\n\x13\n\x01x\x12\x0e"\x0c\x12\n\x00' + _LARGE_AND_EMPTY),
        (
            "grpc_predict",
            b"\n\x03\n\x01x\x12\x17\n\x01x\x12\x12\x08\x01\x12\x0e\x12\x00\x12\n\x08" + b"\xff" * 8 + b"\x7f",
        ),
    ],
)
def test_what_cannot_be_read_is_the_clients_fault(parser: str, body: bytes) -> None:
    assert PARSERS[parser](body) == "INVALID_ARGUMENT"


def test_a_whole_number_of_more_than_64_bits_is_a_double() -> None:
    assert read_object(b'{"a": NaN, "b": 1%s}' % (b"0" * 30))["b"] == 1e30
    assert read_object(b'{"a": 1, "a": 1, "b": 1%s}' % (b"0" * 30))["b"] == 1e30


def test_half_a_complex_number_is_none() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_COMPLEX64, scomplex_val=[1, 2, 3])
    proto.tensor_shape.dim.add(size=1)
    np.testing.assert_array_equal(from_proto(proto), np.array([1 + 2j], np.complex64))


def test_strings_do_not_come_in_one_piece() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_content=b"12345678")
    proto.tensor_shape.dim.add(size=1)
    with pytest.raises(InvalidArgument, match="string_val"):
        from_proto(proto)


@pytest.mark.parametrize(
    ("parser", "body"),
    [
        ("predict", b'{"instances": %s}' % _LONG_AND_MANY),
        ("classify", b'{"instance": {"image": %s}}' % _LONG_AND_MANY),
        ("regress", b'{"instances": [{"rooms": "%s"}%s]}' % (b"x" * 20_000, b',{"rooms": "a"}' * 3000)),
    ],
)
def test_words_among_numbers_do_not_take_the_room_of_the_longest_each(parser: str, body: bytes) -> None:
    assert _peak(lambda: PARSERS[parser](body)) < 100 * len(body)


@pytest.mark.parametrize("parser", ["predict", "examples", "classify", "explain", "text", "images", "infer"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [%s{}]}' % (b"{}," * MOST_LISTS),
        b'{"instances": [%s[]]}' % (b"[]," * MOST_LISTS),
        b'{"inputs": [%s1]}' % (b"1," * MOST_VALUES),
    ],
    ids=("objects", "lists", "values"),
)
def test_small_things_in_millions_are_refused_before_they_are_made(parser: str, body: bytes) -> None:
    line = b"\n" if parser == "infer" else b""
    ends: list[str] = []
    assert _peak(lambda: ends.append(PARSERS[parser](line + body))) < 5 * len(body)
    assert ends == ["RESOURCE_EXHAUSTED"]


def test_an_instance_of_many_names_is_read_once_not_once_a_name() -> None:
    names = b",".join(b'"%d":1' % number for number in range(300_000))  # minutes, name by name
    assert PARSERS["classify"](b'{"instances": [{%s}]}' % names) == "INVALID_ARGUMENT"


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
