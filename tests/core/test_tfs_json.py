"""TensorFlow Serving's JSON. tests/conformance holds the codec to recorded answers; these are its properties."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.core.errors import InvalidArgument
from services.core.tensors import Array
from services.core.tfs import meta_graph_pb2, types_pb2
from services.core.tfs_json import decode_predict, encode_predict
from services.core.tfs_json_examples import decode_examples
from services.core.tfs_json_reader import _read_long, _Reader, read_object


def signatures(**inputs: int) -> dict[str, meta_graph_pb2.SignatureDef]:
    signature = meta_graph_pb2.SignatureDef()
    for name, enum in inputs.items():
        signature.inputs[name].dtype = enum
    return {"serving_default": signature}


FLOAT = signatures(x=types_pb2.DT_FLOAT)
TEXT = signatures(text=types_pb2.DT_STRING)
SIDES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(arrays.arrays("f4", SIDES))
def test_an_array_survives_the_way_out_and_in_again(array: Array) -> None:
    for row_format, answer, question in ((True, "predictions", "instances"), (False, "outputs", "inputs")):
        body = encode_predict({"x": array}, row_format).replace(answer.encode(), question.encode())
        np.testing.assert_array_equal(decode_predict(body, FLOAT).inputs["x"], array)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_both_readers_agree_on_all_proper_json(value: dict[str, Any]) -> None:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert _Reader(body).document() == read_object(body) == json.loads(body)


WORDS = rb"""[ ] { } , : " \ \\ \" \n \u \u00e4 \ud83d \ude00 \udc00 00e4 a "a" "a": NaN Infinity -Infinity -NaN null
true 0 01 -1 1.5 1. .5 1e3 1e308 1e400 -1e400 1E+0400 5e-999
99999999999999999999 999999999999999999999 [1, {"a": "\u""".split()
PIECES = st.sampled_from([*WORDS, b" ", b"\t", b"\x00", b"\x1f", b"\xff", b"\xc3\xa4", b"\xef\xbb\xbf"])


def _read_short(body: bytes) -> Any:
    return _Reader(body).document()


@given(st.lists(PIECES, max_size=12), st.sampled_from([b"%s", b'{"a": [NaN, %s]}', b'{"a": ["%s", NaN]}', b"{%s}"]))
def test_the_reader_of_long_bodies_takes_what_the_other_takes_and_no_more(pieces: list[bytes], around: bytes) -> None:
    body = around % b"".join(pieces)
    told = []
    for read in (_read_short, _read_long):
        try:
            value = read(body)
            told.append(repr(value) if isinstance(value, dict) else "refused")
        except InvalidArgument:
            told.append("refused")
    assert told[0] == told[1]


def test_a_long_body_with_a_word_json_does_not_have_is_read_as_a_short_one_is() -> None:
    body = b'{"instances": [%s NaN]}' % (b"1.5, " * 10_000)
    assert repr(read_object(body)) == repr(_Reader(body).document())
    with pytest.raises(InvalidArgument, match="at offset: 50016"):
        read_object(body.replace(b"NaN", b"nan"))


@given(st.binary(max_size=40))
def test_whatever_bytes_come_the_answer_is_an_object_or_invalid_argument(body: bytes) -> None:
    for data in (body, b'{"instances": [' + body, b'{"instances": [' + body + b"]}"):
        try:
            assert isinstance(read_object(data), dict)
            decode_predict(data, FLOAT)
        except InvalidArgument as error:
            assert error.message


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"instances": [[1, 2], [3]]}', "Expecting tensor size: 2 but got: 1"),
        (b'{"instances": [[1, [2]]]}', "Encountered list at unexpected level: 1 expected < 1"),
        (b'{"instances": [[[1, 2], [3]]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        (b'{"instances": [true]}', "JSON Value: true Type: True is not of expected type: float"),
        (b'{"instances": [1.0, true]}', "Failed to process element: 1 of"),
        (b'{"inputs": ' + b"[" * 400 + b"1" + b"]" * 400 + b"}", "A tensor has at most 64 dimensions"),
        (b'{"inputs": ' + b"[" * 5000 + b"1" + b"]" * 5000 + b"}", "JSON is nested at most some hundred levels deep"),
        (b'{"instances": 1, "inputs": ' + b"[" * 400 + b"]" * 400 + b"}", "Not formatted correctly"),
        (b"[1, 2]", r"JSON Value: \[1, 2\] Is not object"),
        (b"", "The document is empty"),
    ],
)
def test_a_bad_body_is_told_the_rule_and_what_was_received(body: bytes, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        decode_predict(body, FLOAT)


def test_the_first_of_two_equal_keys_counts_even_when_strings_hold_colons() -> None:
    body = b'{"instances": [{"text": "a: b", "text": "c"}]}'
    assert decode_predict(body, TEXT).inputs["text"].tolist() == [b"a: b"]


def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    raw = b'{"instances": ["\xff\xfe"]}'
    inputs = decode_predict(raw, TEXT).inputs
    assert inputs["text"].tolist() == [b"\xff\xfe"]
    assert b'"\xff\xfe"' in encode_predict({"text": inputs["text"]}, row_format=True)


def test_b64_goes_both_ways() -> None:
    inputs = decode_predict(b'{"instances": [{"b64": "//4A"}]}', TEXT).inputs
    assert inputs["text"].tolist() == [b"\xff\xfe\x00"]
    assert json.loads(encode_predict({"out_bytes": inputs["text"]}, row_format=True)) == {
        "predictions": [{"b64": "//4A"}]
    }


def test_nan_and_infinity_go_both_ways() -> None:
    array = decode_predict(b'{"instances": [NaN, Infinity, -Infinity]}', FLOAT).inputs["x"]
    assert math.isnan(array[0]) and array[1:].tolist() == [math.inf, -math.inf]
    assert encode_predict({"y": array}, row_format=True) == b'{"predictions": [NaN, Infinity, -Infinity]}'


def test_rows_need_one_batch_size() -> None:
    with pytest.raises(InvalidArgument, match="inconsistent batch size: 3 expecting: 2"):
        encode_predict({"a": np.zeros(2), "b": np.zeros(3)}, row_format=True)


def test_examples_take_strings_numbers_and_bools() -> None:
    body = b'{"context": {"c": "x"}, "examples": [{"f": 1.5, "i": [1, 2], "b": true, "s": {"b64": "AA=="}, "e": []}]}'
    decoded = decode_examples(body, "classify").examples.example_list_with_context
    features = decoded.examples[0].features.feature
    assert features["f"].float_list.value == [1.5]
    assert features["i"].int64_list.value == [1, 2]
    assert features["b"].int64_list.value == [1]
    assert features["s"].bytes_list.value == [b"\0"]
    assert features["e"].WhichOneof("kind") is None
    assert decoded.context.features.feature["c"].bytes_list.value == [b"x"]


def test_a_feature_of_two_kinds_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="values of one kind"):
        decode_examples(b'{"examples": [{"f": [1, "a"]}]}', "classify")
