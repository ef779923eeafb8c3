"""Counts what versions predict, by the bins of their cards, so that Prometheus can compare it with what was expected.

No request waits for it: answers are kept, and counted when there are many, or at the next poll of the model servers. A
worker that is killed loses those of the time between.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.core.card import Expected
from services.core.predictions import counts, fits
from services.core.tensors import Array
from services.gateway.batcher import Predict
from services.gateway.request import Call, Columns
from services.gateway.routing_table import RoutingTable, Servable

_LABELS = ("model", "version", "output", "bin")
_MOST_BYTES = 1 << 16  # kept of one output
_ARRAY_BYTES = 256  # beside its numbers


class Predictions:
    """Owns the collectors of one registry, and the answers that are not counted yet."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tallies: dict[Servable, Sequence[_Tally]] = {}
        self._made = Counter(
            "tensorgate_gateway_predictions",
            "Predictions by what they are, or by the range they fall into; only where the card says what to expect.",
            _LABELS,
            registry=registry,
        )
        self._expected = Gauge(
            "tensorgate_gateway_predictions_expected_ratio",
            "Their share on held-out data; 0 for a version that cannot be called any more.",
            _LABELS,
            registry=registry,
            multiprocess_mode="livemin",
        )

    def counted(self, predict: Predict) -> Predict:
        """`predict`, what it answers counted."""

        async def ask(call: Call) -> Columns:
            columns = await predict(call)
            for tally in self._tallies.get(call.servable, ()):
                column = columns.get(tally.output)
                if column is not None:
                    tally.add(column)
            return columns

        return ask

    def table(self, table: RoutingTable) -> None:
        """The routing table was read anew: these versions can be called, others cannot any more."""
        for tallies in self._tallies.values():
            for tally in tallies:
                tally.count()
        there = [servable for routes in table.models.values() for servable in routes.servables.values()]
        kept = {one: self._tallies.get(one) or self._begin(one) for one in there if one.card.expected}
        named = {(one.name, one.version) for one in kept}
        for gone in self._tallies.keys() - kept.keys():
            if (gone.name, gone.version) not in named:
                self._expect(gone, there=False)
        self._tallies = kept

    def _begin(self, servable: Servable) -> Sequence[_Tally]:
        self._expect(servable, there=True)
        return [
            _Tally(output, expected, [self._made.labels(*_named(servable, output, name)) for name in expected.shares])
            for output, expected in servable.card.expected.items()
        ]

    def _expect(self, servable: Servable, *, there: bool) -> None:
        for output, expected in servable.card.expected.items():
            for name, share in expected.shares.items():
                self._expected.labels(*_named(servable, output, name)).set(share if there else 0)


def _named(servable: Servable, output: str, name: str) -> tuple[str, int, str, str]:
    return servable.name, servable.version, output, name


class _Tally:
    """One output of a version: its answers that are not counted yet, and a counter for each bin."""

    def __init__(self, output: str, expected: Expected, bins: Sequence[Counter]) -> None:
        self.output = output
        self._expected = expected
        self._bins = bins
        self._kept: list[Array] = []
        self._bytes = 0

    def add(self, column: Array) -> None:
        """One answer."""
        self._kept.append(column)
        self._bytes += _ARRAY_BYTES + column.nbytes
        if self._bytes >= _MOST_BYTES:
            self.count()

    def count(self) -> None:
        """Those that were kept; none of another shape than the card's."""
        if not self._kept:
            return
        tables = [column for column in self._kept if fits(self._expected, column)]
        self._kept, self._bytes = [], 0
        if not tables:
            return
        found = counts(self._expected, np.concatenate(tables))
        for counter, count in zip(self._bins, found.tolist(), strict=True):
            if count:
                counter.inc(count)
