"""How much a body of JSON may hold. Read, it can take forty times its bytes, and a microsecond for each `{}` in it, in
which nobody else is answered; so what makes that is counted before it is read, at a thousandth of the price.
"""

from __future__ import annotations

from services.core.errors import ResourceExhausted

MOST_LISTS = 1 << 20  # and objects: a second, 250 MB
MOST_VALUES = 1 << 22  # where each becomes an object of Python's: half a second, 250 MB


def has_many_lists(body: bytes) -> bool:
    """Whether it has more lists and objects than are read."""
    return len(body) > MOST_LISTS and _lists(body) > MOST_LISTS


def check_size(body: bytes) -> None:
    """Raises ResourceExhausted for more lists and objects, or more values, than are read; brackets and commas within
    text count, too.
    """
    if has_many_lists(body):
        raise ResourceExhausted(
            f"JSON has at most {MOST_LISTS} lists and objects. Received: {_lists(body)} in {len(body)} bytes"
        )
    if len(body) > MOST_VALUES and body.count(b",") >= MOST_VALUES:
        raise ResourceExhausted(
            f"JSON has at most {MOST_VALUES} values; more numbers go as lists of decimals for one input, or over gRPC. "
            f"Received: {body.count(b',') + 1} in {len(body)} bytes"
        )


def _lists(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")
