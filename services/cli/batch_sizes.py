"""Which batches suit a model on its server: a pure function of what was measured.

The file is TensorFlow Serving's BatchingParameters in protobuf's text format
(tensorflow_serving/servables/tensorflow/session_bundle_config.proto); what each field does, its batching guide says
(tensorflow_serving/batching/README.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.core.errors import InvalidArgument

# Of the best there is: more rows, or more calls at once, that bring less than the rest are not worth waiting for.
_ENOUGH = 0.9
# A batch that is not full waits for others at most this part of the time that a full one takes.
_WAIT = 0.1
# A larger call is cut into batches, up to as many rows as a gateway lets into one request by itself.
_MOST_ROWS = 1024
# Calls that wait in TensorFlow Serving. Its own 10 are too few for several gateways, which bound what waits themselves.
_ENQUEUED = 256


@dataclass(frozen=True)
class Measured:
    """Calls of so many `rows`, `at_once` under way: the median seconds of one, and rows a second of all together."""

    rows: int
    at_once: int
    seconds: float
    rows_a_second: float


@dataclass(frozen=True)
class Batching:
    """What differs of TensorFlow Serving's BatchingParameters; a batch has at most `rows`, as a gateway's, too."""

    rows: int
    batch_timeout_micros: int
    num_batch_threads: int
    allowed_batch_sizes: tuple[int, ...]

    def text(self) -> str:
        """For --batching_parameters_file."""
        values = {
            "max_batch_size": max(self.rows, _MOST_ROWS),
            "max_execution_batch_size": self.rows,
            "batch_timeout_micros": self.batch_timeout_micros,
            "num_batch_threads": self.num_batch_threads,
            "max_enqueued_batches": _ENQUEUED,
        }
        lines = [f"{name} {{ value: {value} }}\n" for name, value in values.items()]
        lines.append("enable_large_batch_splitting { value: true }\n")
        return "".join(lines + [f"allowed_batch_sizes: {size}\n" for size in self.allowed_batch_sizes])


def batch_rows(alone: Sequence[Measured], most_seconds: float) -> int:
    """The fewest rows that bring nearly as many a second as any batch that takes at most `most_seconds`.

    Raises InvalidArgument where even the smallest takes longer.
    """
    within = [one for one in alone if one.seconds <= most_seconds]
    if not within:
        fastest = min(one.seconds for one in alone)
        raise InvalidArgument(
            f"A call takes at most {1000 * most_seconds:g} ms. Received: {1000 * fastest:.1f} ms for the fastest batch"
        )
    best = max(one.rows_a_second for one in within)
    return min(one.rows for one in within if one.rows_a_second >= _ENOUGH * best)


def batching(alone: Sequence[Measured], together: Sequence[Measured], most_seconds: float) -> Batching:
    """What follows from calls one after another, of growing rows, and from calls at once of `batch_rows` rows.

    A batch is filled up to the next allowed size: those that would cost as much as the next larger are left out. Who
    waits for others waits only where a full batch brings more than twice the rows that single ones do.
    """
    rows = batch_rows(alone, most_seconds)
    sizes = sorted((one for one in alone if one.rows <= rows), key=lambda one: one.rows)
    full = sizes[-1]
    gains = full.rows_a_second > 2 * sizes[0].rows_a_second
    best = max(one.rows_a_second for one in together)
    return Batching(
        rows=rows,
        batch_timeout_micros=round(_WAIT * full.seconds * 1e6) if gains else 0,
        num_batch_threads=min(one.at_once for one in together if one.rows_a_second >= _ENOUGH * best),
        allowed_batch_sizes=_worth_allowing(sizes),
    )


def _worth_allowing(sizes: Sequence[Measured]) -> tuple[int, ...]:
    """From the largest down: those that take clearly less time than the one above."""
    allowed = [sizes[-1]]
    for one in reversed(sizes[:-1]):
        if one.seconds < _ENOUGH * allowed[-1].seconds:
            allowed.append(one)
    return tuple(one.rows for one in reversed(allowed))
