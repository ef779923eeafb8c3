"""Header blocks (HPACK, RFC 7541). Ours are plain text; theirs are read by the `hpack` library, equal ones once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from hpack import Decoder, HPACKError

from services.rpc.frames import Broken, Reason

MOST_BYTES = 65_536  # of a list of headers, as HTTP/2 counts them
_MOST_KEPT = 64  # blocks
_LARGEST_KEPT = 512  # bytes

Headers = Sequence[tuple[bytes, bytes]]
T = TypeVar("T")

POST, HTTP, STATUS_200 = b"\x83", b"\x86", b"\x88"  # entries of the static table: whole headers
AUTHORITY, PATH, STATUS = 1, 4, 8  # and names


def literal(name: bytes | int, value: bytes) -> bytes:
    """One header that changes nobody's table; a name that the static table has by its number there."""
    if isinstance(name, int):
        return bytes((name,)) + _text(value)
    return b"\0" + _text(name) + _text(value)


def _text(value: bytes) -> bytes:
    return _integer(len(value)) + value


def _integer(number: int) -> bytes:
    """Of a length (RFC 7541, 5.1, with a prefix of seven bits)."""
    if number < 127:
        return bytes((number,))
    number, digits = number - 127, [127]
    while number >= 128:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes((*digits, number))


class Blocks(Generic[T]):
    """All header blocks of one connection, each read by `read`.

    A block means the same again as long as no block between has changed the table, and clients say the same a thousand
    times a second.
    """

    def __init__(self, read: Callable[[Headers], T]) -> None:
        self._decoder = Decoder(MOST_BYTES)
        self._read = read
        self._kept: dict[bytes, T] = {}

    def of(self, block: bytes) -> T:
        """What it says. Raises Broken."""
        kept = self._kept.get(block)
        if kept is not None:
            return kept
        table = self._decoder.header_table
        first, size = _first(table.dynamic_entries), (len(table.dynamic_entries), table.maxsize)
        try:
            headers: Any = self._decoder.decode(block, raw=True)
        except HPACKError:  # its text shows memory's addresses
            text = f"Headers are packed by HPACK. Received: {len(block)} bytes that are not"
            raise Broken(Reason.COMPRESSION_ERROR, text) from None
        read = self._read(headers)
        entries = table.dynamic_entries
        if first is not _first(entries) or size != (len(entries), table.maxsize) or len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        elif len(block) <= _LARGEST_KEPT:
            self._kept[block] = read
        return read


def _first(entries: Sequence[object]) -> object:
    """The newest; each header that is added becomes that."""
    return entries[0] if entries else None
