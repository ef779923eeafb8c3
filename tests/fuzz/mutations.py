"""What was right until something in it was changed: bytes, JSON token by token, protobuf's messages field by field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st

_MOST_CHANGES = 3
_MOST_CUT = 12
_MOST_REPEATS = 3000  # of a few bytes: work that grows with the square of the input shows in milliseconds
_MOST_BYTES = 60_000  # of what is repeated
_DEEPEST = 4  # messages in messages
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\w.+-]+|.', re.DOTALL)

# What readers of JSON, of numbers and of text have stumbled over.
JSON_WORDS = (
    b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e400", b"-0", b"1e-400", b"0.5", b"-1", b"0", b"1", b"2",
    b"2147483648", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"1e308", b"1e39",
    b"9" * 5000, b"1" + b"0" * 400, b'""', b'"x"', b"[]", b"{}", b"[[]]", b"[[1], 2]", b"[null]", b'["a", 1]',
    b'{"b64": "AA=="}', b'{"b64": "A"}', b'{"b64": "\xc3\xa9"}', b'{"b64": 1}', b'{"b64": "AA", "c": 1}',
    b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"' + b"x" * 2000 + b'"',
    b"\xef\xbb\xbf", b"\\", b'"', b"\0", b"[" * 70, b'{"a":' * 70, b"[" * 1500, b'{"a":[' * 600, b'"BYTES"', b'"INT8"',
    b'"FP16"', b'"name=9"', b'"seed=99999999999999999999"', b'"9999999999999999999x9999999999999999999"',
)  # fmt: skip
# Tags, lengths and ends of protobuf's fields.
WIRE_WORDS = (
    b"\0", b"\x01", b"\x08", b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x2a", b"\x32", b"\x7f", b"\x80", b"\xff",
    b"\xff" * 9 + b"\x01", b"\x80\x80\x80\x80\x80\x80\x80\x80\x40", b"\x0a\xff\xff\xff\xff\x07", b"\xc3\x28",
)  # fmt: skip
_WHOLE = (0, 1, -1, 2, 3, 7, 255, 65_535, 65_536, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, -(2**63))
_BROKEN = (0.0, 1.0, -0.5, 1e308, 1e39, float("nan"), float("inf"), 1e-320)


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """One of the seeds, up to three places cut, filled or written over, and sometimes a piece many times."""
    data = draw(st.sampled_from(seeds))
    filling = st.one_of(st.sampled_from(words), st.binary(max_size=_MOST_CUT), st.just(b""))
    for _ in range(draw(st.integers(0, _MOST_CHANGES))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(filling) + data[at + draw(st.integers(0, _MOST_CUT)) :]
    return b"".join(_repeated(draw, [data[at : at + 1] for at in range(len(data))]))


@st.composite
def token_wise(draw: st.DrawFn, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """The same for text: words take the place of words, so that most of it can be read still."""
    tokens = _TOKEN.findall(draw(st.sampled_from(seeds)))
    fillings = (*words, *tokens)
    for _ in range(draw(st.integers(0, _MOST_CHANGES))):
        places = [at for at, token in enumerate(tokens) if len(token) > 1 or token.isalnum()] or [0]
        if draw(st.integers(0, 5)):
            at, cut = draw(st.sampled_from(places)), 1
        else:
            at, cut = draw(st.integers(0, len(tokens))), draw(st.integers(0, 3))
        tokens[at : at + cut] = [draw(st.sampled_from(fillings))]
    return b"".join(_repeated(draw, tokens))


def _repeated(draw: st.DrawFn, pieces: list[bytes]) -> list[bytes]:
    """Once in a while: some that follow each other, many times."""
    if draw(st.integers(0, 9)) < 9 or not pieces:
        return pieces
    start = draw(st.integers(0, len(pieces) - 1))
    end = start + draw(st.integers(1, 30))
    most = max(2, min(_MOST_REPEATS, _MOST_BYTES // max(1, sum(map(len, pieces[start:end])))))
    return pieces[:start] + pieces[start:end] * draw(st.integers(2, most)) + pieces[end:]


@st.composite
def messages(draw: st.DrawFn, kind: Any, words: Sequence[str], level: int = 0) -> Any:
    """A message with some of its fields filled; `words` are names that mean something."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if level > _DEEPEST or not draw(st.booleans()):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(draw, getattr(message, field.name), field.message_type, (words, level))
        elif field.is_repeated:
            _fill_list(draw, getattr(message, field.name), field, (words, level))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(messages(field.message_type._concrete_class, words, level + 1)))
        else:
            setattr(message, field.name, draw(_scalar(field, words)))
    return message


def _fill_map(draw: st.DrawFn, entries: Any, entry: Any, at: tuple[Sequence[str], int]) -> None:
    (words, level), value = at, entry.fields_by_name["value"]
    for _ in range(draw(st.integers(0, 2))):
        key = draw(_scalar(entry.fields_by_name["key"], words))
        if value.message_type is None:
            entries[key] = draw(_scalar(value, words))
        else:
            entries[key].CopyFrom(draw(messages(value.message_type._concrete_class, words, level + 1)))


def _fill_list(draw: st.DrawFn, items: Any, field: Any, at: tuple[Sequence[str], int]) -> None:
    words, level = at
    for _ in range(draw(st.integers(0, 3))):
        if field.message_type is None:
            items.append(draw(_scalar(field, words)))
        else:
            items.append(draw(messages(field.message_type._concrete_class, words, level + 1)))


def _scalar(field: Any, words: Sequence[str]) -> st.SearchStrategy[Any]:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        texts = (*words, "", "é\0", "9" * 30)
        return st.sampled_from(
            texts if field.type == field.TYPE_STRING else [text.encode() for text in texts] + [b"\xff" * 8]
        )
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return st.sampled_from(_BROKEN)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return st.sampled_from([*field.enum_type.values_by_number, 99])
    bits = 63 if kind in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64) else 31
    low = 0 if kind in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64) else -(2**bits)
    return st.sampled_from([value for value in _WHOLE if low <= value < 2**bits])
