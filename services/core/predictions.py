"""Predictions by bin: how they are spread on held-out data, and how those are that somebody asked for.

Both are counted here, by the trainer and by the gateway, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.core.card import Expected, OutputField
from services.core.tensors import Array

_MOST_CLASSES = 20
_MOST_BINS = 10  # of numbers: deciles
# Held-out predictions a bin, on average. With b bins and that many predictions on each side, chance alone makes the
# population stability index (b - 1) * 2 / (_A_BIN * b) on average, 0.04 at most: Yurdakul and Naranjo, Statistical
# properties of the population stability index, Journal of Risk Model Validation 14(4), 2020.
_A_BIN = 50


def expected_of(field: OutputField, table: Array) -> Expected | None:
    """What to expect of an output that said scores [N, C] or values [N, 1] on held-out data.

    Bins are the classes if they are few, else deciles of the highest score, or of the value; fewer of them where little
    was held out. None where it is too little, and of values of several columns.
    """
    columns = table.shape[1]
    if field.content == "scores" and columns <= _MOST_CLASSES and len(table) >= _A_BIN * columns:
        return _expected(table, (), field.labels or tuple(map(str, range(columns))))
    if field.content != "scores" and columns != 1:
        return None
    edges = _edges(_whole(table)[1])
    return _expected(table, edges, [*(f"<={edge:.4g}" for edge in edges), f">{edges[-1]:.4g}"]) if edges else None


def fits(expected: Expected, column: Array) -> bool:
    """Is this a table of floats as wide as was expected?"""
    return column.ndim == 2 and column.shape[1] == expected.columns and column.dtype.kind == "f"


def counts(expected: Expected, table: Array) -> Array:
    """How many rows of a table that fits fall into each bin, int64 [bins]; what is not finite falls into none."""
    rows, highest = _whole(table)
    places = np.searchsorted(expected.edges, highest) if expected.edges else rows.argmax(axis=1)
    return np.bincount(places, minlength=len(expected.shares))


def _expected(table: Array, edges: tuple[float, ...], names: Sequence[str]) -> Expected | None:
    bins = Expected(columns=table.shape[1], edges=edges, shares=dict.fromkeys(names, 0.0))
    found = counts(bins, table)
    if not found.any():
        return None
    return bins.model_copy(update={"shares": dict(zip(names, (found / found.sum()).tolist(), strict=True))})


def _whole(table: Array) -> tuple[Array, Array]:
    """The rows whose highest number is finite, and those numbers."""
    highest = table.max(axis=1)
    finite = np.isfinite(highest)
    return (table, highest) if finite.all() else (table[finite], highest[finite])


def _edges(values: Array) -> tuple[float, ...]:
    """Where deciles end, in four digits, so that a bin's name tells what is in it; equal ones are one."""
    bins = min(_MOST_BINS, len(values) // _A_BIN)
    if bins < 2:
        return ()
    deciles = np.quantile(values.astype(np.float64), np.arange(1, bins) / bins, method="inverted_cdf")
    rounded = sorted({float(f"{edge:.4g}") for edge in deciles})
    with np.errstate(over="ignore"):  # the largest number of its type, rounded, may be larger than that
        return tuple(edge for edge in rounded if values.min() <= edge < values.max())
