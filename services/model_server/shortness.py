"""Which predictions are so short that the event loop runs them itself.

A thread does the work so that others go on meanwhile; but the way there and back takes some 70 us, which is more than
many a small network does. So what has been short again and again, for inputs of about this shape, is run where it
arrives, until it is short no more. Only signatures whose time no value can change (`graph.is_steady`) are let in: the
next request must not be the one that loops for seconds.
"""

from __future__ import annotations

from collections.abc import Set

from services.core.tfs import predict_pb2

Kind = tuple[str, tuple[int, ...]]

_SHORT_SECONDS = 500e-6  # others wait for it no longer than for the largest body that is read on a loop
_ENOUGH = 16  # such runs, one after another
_MOST_KINDS = 256  # clients choose shapes


def kind_of(request: predict_pb2.PredictRequest, signature: str) -> Kind | None:
    """The signature, and each input's dimensions to the power of two, in the order of the inputs' names. None where an
    output filter is set: each takes other work, and 70 ms before its first, to make the session's callable.
    """
    if request.output_filter:
        return None
    shapes = (request.inputs[name].tensor_shape.dim for name in sorted(request.inputs))
    return signature, tuple(bits for shape in shapes for bits in (-1, *(size.size.bit_length() for size in shape)))


class Shortness:
    """What runs of one servable took. Owned by the event loop. `steady` are the signatures that may be short."""

    def __init__(self, steady: Set[str]) -> None:
        self._steady = steady
        self._short: dict[Kind, int] = {}  # how many of the last runs were

    def expects(self, kind: Kind) -> bool:
        """Whether the next run will be short."""
        return self._short.get(kind, 0) >= _ENOUGH

    def learn(self, kind: Kind, seconds: float) -> None:
        """A run has ended."""
        if kind[0] not in self._steady:
            return
        if kind not in self._short and len(self._short) >= _MOST_KINDS:
            self._short.clear()
        self._short[kind] = self._short.get(kind, 0) + 1 if seconds < _SHORT_SECONDS else 0
