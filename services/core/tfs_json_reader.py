"""JSON as TensorFlow Serving reads it: RapidJSON with NaN and Infinity, stopping after the first value.

Most bodies go through orjson. What orjson refuses goes through the slower reader here, which knows RapidJSON's order of
checks and so gives its error texts and offsets (rapidjson/reader.h, 1.1.0). It takes microseconds a byte, in which the
gateway would do nothing else, so longer bodies go through Python's own: it knows NaN and Infinity, but not `Inf`, and
has texts of its own for what is wrong. What else a client can see: the first of two equal keys counts, text after the
value is ignored, bytes that are no UTF-8 are kept (as surrogate escapes).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson

from services.core.errors import InvalidArgument
from services.core.json_size import check_size

_SPACE = re.compile(rb"[ \n\r\t]*")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_FRACTION = re.compile(rb"\.[0-9]+")
_EXPONENT = re.compile(rb"[eE][+-]?[0-9]+")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_WORDS: tuple[tuple[bytes, Any], ...] = (
    (b"null", None),
    (b"true", True),
    (b"false", False),
    (b"NaN", math.nan),
    (b"Infinity", math.inf),
    (b"Inf", math.inf),
    (b"-Infinity", -math.inf),
    (b"-Inf", -math.inf),
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
_SHORT = 1 << 15  # bytes, which the slower reader reads in a tenth of a second at most
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LEVELS_SHOWN = 100
_MOST_DIGITS = 20  # and a sign, of 64 bits: longer whole numbers are doubles to RapidJSON and orjson alike


def read_object(body: bytes) -> dict[str, Any]:
    """The object a request body holds. Raises InvalidArgument with TensorFlow Serving's text, or ResourceExhausted."""
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    check_size(body)
    try:
        value = _read(body)
    except RecursionError as error:
        raise InvalidArgument(
            f"JSON is nested at most some hundred levels deep. Received: {len(body)} bytes"
        ) from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"JSON Value: {debug_text(value)} Is not object")
    return value


def _read(body: bytes) -> Any:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Reader(body).document() if len(body) <= _SHORT else _read_long(body)
    if isinstance(value, dict) and body.count(b":") > _known_keys(value):
        return json.loads(body, object_pairs_hook=_first_wins, parse_int=_whole)
    return value


def _read_long(body: bytes) -> Any:
    written = body.partition(b"\0")[0].removeprefix(_BYTE_ORDER_MARK)
    text = written.decode("utf-8", "surrogateescape").lstrip(" \n\r\t")
    try:
        value, end = (_CAREFUL if _LARGE.search(written) else _ORDINARY).raw_decode(text)
    except json.JSONDecodeError as error:
        left = text[error.pos :].encode("utf-8", "surrogateescape")
        offset = len(body.partition(b"\0")[0]) - len(left)
        raise InvalidArgument(f"JSON Parse error: {error.msg}. at offset: {offset}") from None
    _check_surrogates(text[:end])
    return value


def _check_surrogates(text: str) -> None:
    """Halves of a character that stand alone: Python would take them, and nobody could write them again."""
    first_ends = -1  # where the first half of a pair was
    for escape in _ESCAPE.finditer(text) if "\\u" in text else ():
        code = int(escape[1], 16) if escape[1] else 0
        is_second = 0xDC00 <= code <= 0xDFFF
        if first_ends not in ((escape.start(),) if is_second else (-1,)):
            break
        first_ends = escape.end() if 0xD800 <= code <= 0xDBFF else -1
    else:
        if first_ends < 0:
            return
    raise InvalidArgument("JSON Parse error: The surrogate pair in string is invalid.")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise InvalidArgument("JSON Parse error: Number too big to be stored in double.")
    return value


def _known_keys(value: Mapping[str, Any]) -> int:
    """Keys where requests have them; a body with more colons has keys elsewhere, colons in strings, or keys twice."""
    count = len(value)
    for member in value.values():
        if isinstance(member, dict):
            count += len(member)
        elif isinstance(member, list):
            count += sum(len(row) for row in member if isinstance(row, dict))
    return count


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        members.setdefault(key, value)
    return members


# Looking at each number takes most of the time, so only where one may be larger than 64 bits.
_ORDINARY = json.JSONDecoder(object_pairs_hook=_first_wins)
_CAREFUL = json.JSONDecoder(object_pairs_hook=_first_wins, parse_float=_finite, parse_int=_whole)
_LARGE = re.compile(rb"[0-9]{%d}|[eE]\+?[0-9]{3}" % (_MOST_DIGITS + 1))


class _Reader:
    """One pass over a body; `_at` is the offset of the next byte."""

    def __init__(self, body: bytes) -> None:
        self._body = body.partition(b"\0")[0]  # RapidJSON reads a C string
        self._at = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0

    def document(self) -> Any:
        self._skip_space()
        if self._at == len(self._body):
            self._fail("The document is empty.", self._at)
        return self._value()

    def _fail(self, what: str, offset: int) -> NoReturn:
        raise InvalidArgument(f"JSON Parse error: {what} at offset: {offset}")

    def _skip_space(self) -> None:
        self._at = _end(_SPACE, self._body, self._at)

    def _next(self) -> bytes:
        return self._body[self._at : self._at + 1]

    def _take(self, character: bytes) -> bool:
        taken = self._next() == character
        self._at += taken
        return taken

    def _value(self) -> Any:
        first = self._next()
        if first == b"{":
            return self._object()
        if first == b"[":
            return self._array()
        if first == b'"':
            return self._string()
        for word, value in _WORDS:
            if self._body.startswith(word, self._at):
                self._at += len(word)
                return value
        if first in (b"n", b"t", b"f", b"N", b"I"):
            self._fail("Invalid value.", self._at + 1)
        return self._number()

    def _object(self) -> dict[str, Any]:
        self._at += 1
        pairs: list[tuple[str, Any]] = []
        self._skip_space()
        if self._take(b"}"):
            return {}
        while True:
            if self._next() != b'"':
                self._fail("Missing a name for object member.", self._at)
            name = self._string()
            self._skip_space()
            if not self._take(b":"):
                self._fail("Missing a colon after a name of object member.", self._at)
            self._skip_space()
            pairs.append((name, self._value()))
            self._skip_space()
            if self._take(b"}"):
                return _first_wins(pairs)
            if not self._take(b","):
                self._fail("Missing a comma or '}' after an object member.", self._at)
            self._skip_space()

    def _array(self) -> list[Any]:
        self._at += 1
        values: list[Any] = []
        self._skip_space()
        if self._take(b"]"):
            return values
        while True:
            values.append(self._value())
            self._skip_space()
            if self._take(b"]"):
                return values
            if not self._take(b","):
                self._fail("Missing a comma or ']' after an array element.", self._at)
            self._skip_space()

    def _number(self) -> int | float:
        start = self._at
        whole = _NUMBER.match(self._body, start)
        if whole is None:
            self._fail("Invalid value.", start + (self._next() == b"-"))
        self._at = whole.end()
        for mark, digits, text in (
            (b".", _FRACTION, "Miss fraction part in number."),
            (b"eE", _EXPONENT, "Miss exponent in number."),
        ):
            if self._next() and self._next() in mark:
                part = digits.match(self._body, self._at)
                if part is None:
                    self._fail(text, self._at + 1)
                self._at = part.end()
        if self._at == whole.end() and len(whole.group()) <= _MOST_DIGITS:
            return int(whole.group())
        value = float(self._body[start : self._at])
        if math.isinf(value):
            self._fail("Number too big to be stored in double.", start)
        return value

    def _string(self) -> str:
        self._at += 1
        text = bytearray()
        while True:
            plain_end = _end(_PLAIN, self._body, self._at)
            text += self._body[self._at : plain_end]
            self._at = plain_end
            if self._take(b'"'):
                return text.decode("utf-8", "surrogateescape")
            if self._at == len(self._body):
                self._fail("Missing a closing quotation mark in string.", self._at)
            if self._next() != b"\\":
                self._fail("Invalid escape character in string.", self._at)
            text += self._escape()

    def _escape(self) -> bytes:
        start = self._at
        letter = self._body[start + 1 : start + 2]
        self._at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != b"u":
            self._fail("Invalid escape character in string.", start)
        code = self._hex(start)
        if 0xD800 <= code <= 0xDFFF:
            low = self._hex(start) if self._body.startswith(b"\\u", self._at) and self._skip(2) else 0
            if not (code <= 0xDBFF and 0xDC00 <= low <= 0xDFFF):
                self._fail("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code).encode()

    def _skip(self, count: int) -> bool:
        self._at += count
        return True

    def _hex(self, start: int) -> int:
        digits = _HEX.match(self._body, self._at)
        if digits is None:
            self._fail("Incorrect hex digit after \\u escape in string.", start)
        self._at = digits.end()
        return int(digits.group(), 16)


def _end(pattern: re.Pattern[bytes], body: bytes, start: int) -> int:
    found = pattern.match(body, start)
    return found.end() if found is not None else start


def debug_text(value: Any, level: int = 0) -> str:
    """A value as TensorFlow Serving's error texts show it: objects indented by four, lists on one line."""
    if level > _LEVELS_SHOWN:
        return "..."
    if isinstance(value, dict):
        if not value:
            return "{}"
        pad = " " * 4 * (level + 1)
        members = ",\n".join(f"{pad}{_quoted(key)}: {debug_text(member, level + 1)}" for key, member in value.items())
        return f"{{\n{members}\n{pad[4:]}}}"
    if isinstance(value, list):
        return f"[{', '.join(debug_text(item, level + 1) for item in value)}]"
    if isinstance(value, str):
        return _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
