"""A CSV of measurements becomes a table on an even grid of times: numbers only, every gap seen and told."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from plugins.contract import Array, InvalidArgument

LOG = logging.getLogger(__name__)
MISSING = frozenset(("", "na", "nan", "null"))
NO_MEASUREMENT = -9999.0  # what weather stations write where an instrument failed
MOST_MISSING = 0.2  # of a column
MOST_WORDS = 16  # of a column of words that is told by ones and zeros


@dataclass(frozen=True)
class Table:
    """`rows` float32 [times, columns], one every `minutes`; NaN is a missing number. `target` is a column's number."""

    columns: tuple[str, ...]
    target: int
    minutes: int
    rows: Array


def read_csv(path: Path) -> Mapping[str, Array]:
    """A column an array: float64 with NaN for what is missing, or text. The file may be plain, gzip or zip."""
    lines = csv.reader(io.StringIO(_unpacked(path).decode("utf-8-sig"), newline=""))
    header = next(lines, [])
    rows = [row for row in lines if row]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"A row has the header's {len(header)} cells. Received: {len(row)} in row {number}")
    if not rows or len(set(header)) != len(header):
        raise ValueError(f"A CSV has a header of different names, and rows. Received: {header}, {len(rows)} rows")
    return {name: _column(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}


def _unpacked(path: Path) -> bytes:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith(".csv")))
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def _column(cells: Sequence[str]) -> Array:
    present = ["nan" if cell.strip().lower() in MISSING else cell for cell in cells]
    try:
        numbers = np.array(present, np.float64)
    except ValueError:
        return np.array(["" if cell == "nan" else cell for cell in present])
    return np.where(numbers == NO_MEASUREMENT, np.nan, numbers)


def check_columns(arrays: Mapping[str, Array], wanted: Sequence[str]) -> None:
    """Raises InvalidArgument that lists the columns there are, if one is wanted that is not there."""
    if absent := [name for name in wanted if name not in arrays]:
        raise InvalidArgument(f"The columns of the CSV are: {', '.join(arrays)}. Received: {', '.join(absent)}")


def times_of(arrays: Mapping[str, Array], names: Sequence[str]) -> Array:
    """Seconds since 1970, int64, of a column of ISO 8601 or DD.MM.YYYY hh:mm:ss, or of year, month, day, hour.

    Times without an offset are taken as they stand. Raises InvalidArgument for what is no time.
    """
    columns = [arrays[name] for name in names]
    try:
        if len(names) == 1:
            moments = [_moment(str(cell)) for cell in columns[0]]
        else:
            moments = [datetime(*map(int, parts)) for parts in zip(*columns, strict=True)]  # type: ignore[arg-type]
    except (ValueError, TypeError) as fault:
        raise InvalidArgument(
            f"A time is ISO 8601, DD.MM.YYYY hh:mm:ss, or columns of year, month, day, hour. Received: {fault}"
        ) from None
    return np.array(moments, "datetime64[s]").astype(np.int64)


def _moment(text: str) -> datetime:
    if text[2:3] == ".":
        text = f"{text[6:10]}-{text[3:5]}-{text[:2]}{text[10:]}"
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


@dataclass(frozen=True)
class Grid:
    """Where each line of the file belongs: line `lines[i]` at row `places[i]` of `count`, one every `minutes`."""

    lines: Array
    places: Array
    count: int
    minutes: int


def grid_of(times: Array) -> Grid:
    """The even grid that the times lie on; of lines with the same time the first counts.

    Raises InvalidArgument where the commonest distance in time is not a whole number of minutes, or a time is off it.
    """
    known, lines = np.unique(times, return_index=True)
    steps, counts = np.unique(np.diff(known), return_counts=True)
    if not len(steps):
        raise InvalidArgument(f"A series has rows of different times. Received: {len(known)} time in {len(times)} rows")
    step = int(steps[counts.argmax()])
    off = known[(known - known[0]) % step != 0]
    if step % 60 or len(off):
        where = f", {len(off)} rows between, the first at {np.datetime64(int(off[0]), 's')}" if len(off) else ""
        raise InvalidArgument(f"Rows come every so many minutes. Received: mostly every {step / 60:g} minutes{where}")
    places = (known - known[0]) // step
    if same := len(times) - len(known):
        LOG.warning("%d rows have the time of one before them and are left out", same)
    return Grid(lines, places, int(places[-1]) + 1, step // 60)


def table_of(arrays: Mapping[str, Array], names: Sequence[str], target: str, time: Sequence[str], seen: float) -> Table:
    """The columns called `names` on the grid of their times; those without anything to learn from are left out.

    What is decided here (which words a column has, whether it is worth having) is decided by the first `seen` part of
    the time alone. A column of words becomes one of ones and zeros a word. Raises InvalidArgument.
    """
    grid = grid_of(times_of(arrays, time))
    cut = round(grid.count * seen)
    columns: dict[str, Array] = {}
    for name in names:
        laid = {part: _lay(values, grid) for part, values in _numbers(name, arrays[name], grid, cut).items()}
        columns |= {part: row for part, row in laid.items() if _worth(part, row[:cut], needed=part == target)}
    if target not in columns:
        raise InvalidArgument(f"The target is a column of numbers that change. Received: {target!r}")
    rows = np.stack(list(columns.values()), axis=1).astype(np.float32)
    if missing := np.isnan(rows).sum():
        LOG.warning("%d of %d numbers are missing: those before them stand for them", missing, rows.size)
    return Table(tuple(columns), list(columns).index(target), grid.minutes, rows)


def _numbers(name: str, column: Array, grid: Grid, cut: int) -> Mapping[str, Array]:
    """The column, or for each of its words the ones and zeros that tell it; a missing word is missing in each."""
    if column.dtype.kind == "f":
        return {name: column}
    words = sorted(set(column[grid.lines][grid.places < cut].tolist()) - {""})
    if len(words) > MOST_WORDS:
        LOG.warning("Column %s is left out: it has more than %d different words", name, MOST_WORDS)
        return {}
    return {f"{name}={word}": np.where(column == "", np.nan, column == word) for word in words}


def _lay(values: Array, grid: Grid) -> Array:
    row = np.full(grid.count, np.nan)
    row[grid.places] = values[grid.lines]
    return row


def _worth(name: str, seen: Array, needed: bool) -> bool:
    """Does the column change, and is enough of it there? Raises InvalidArgument for a target that is mostly missing."""
    missing = float(np.isnan(seen).mean())
    if missing > MOST_MISSING:
        fault = f"of {name} are missing, at most {MOST_MISSING:.0%} may be"
        if needed:
            raise InvalidArgument(f"A series with gaps is filled, not made up. Received: {missing:.0%} {fault}")
        LOG.warning("Column %s is left out: %s %s", name, f"{missing:.0%}", fault)
        return False
    if len(np.unique(np.diff(seen[~np.isnan(seen)]))) <= 1:
        LOG.warning("Column %s is left out: it stays the same, or counts the rows", name)
        return False
    return True
