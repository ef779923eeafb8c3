import gzip
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.contract import Array, InvalidArgument
from plugins.jena_climate.gaps import fill_gaps
from plugins.jena_climate.table import Table, check_columns, read_csv, table_of, times_of

TEXT = 'when,"warm, very",wind\n2020-01-01,1.5,NE\n2020-01-02,NA,\n2020-01-03,-9999.00,SW\n'


def hourly(count: int) -> Array:
    return np.array([f"2020-01-{1 + hour // 24:02} {hour % 24:02}:00" for hour in range(count)])


def table(target: Sequence[float], times: Array | None = None, seen: float = 1.0, **others: Sequence[object]) -> Table:
    """A table of `t`, the target, and others, hour by hour."""
    when = hourly(len(target)) if times is None else times
    columns = {name: np.array(other) for name, other in {"t": target, **others}.items()}
    numbers = {name: column.astype(float) for name, column in columns.items() if column.dtype.kind != "U"}
    arrays = {"when": when, **columns, **numbers}
    return table_of(arrays, ["t", *others], "t", ["when"], seen)


# --- the file ------------------------------------------------------------------------------------------------------


def test_a_csv_is_read_plain_or_packed(tmp_path: Path) -> None:
    plain, packed, archive = (tmp_path / name for name in ("plain", "packed", "archive"))
    plain.write_text(TEXT)
    packed.write_bytes(gzip.compress(TEXT.encode()))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__MACOSX/._weather", "no table")
        file.writestr("weather.csv", TEXT)
    for path in (plain, packed, archive):
        arrays = read_csv(path)
        assert list(arrays) == ["when", "warm, very", "wind"]
        assert arrays["wind"].tolist() == ["NE", "", "SW"]
        np.testing.assert_array_equal(arrays["warm, very"], [1.5, np.nan, np.nan])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a,b\n1,2\n3\n", "header's 2 cells. Received: 1 in row 3"),
        ("a,a\n1,2\n", "different names"),
        ("a,b\n", "and rows"),
        ("", "and rows"),
    ],
)
def test_a_broken_csv_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    (tmp_path / "broken.csv").write_text(text)
    with pytest.raises(ValueError, match=rule):
        read_csv(tmp_path / "broken.csv")


def test_wrong_columns_get_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(InvalidArgument, match=r"are: when, TEMP\. Received: temp"):
        check_columns({"when": np.zeros(1), "TEMP": np.zeros(1)}, ["when", "temp"])


# --- times ---------------------------------------------------------------------------------------------------------


def test_times_are_read_as_stations_write_them() -> None:
    iso = np.array(["2009-01-02T00:10:00Z", "2009-01-02 01:10:00+01:00"])
    dotted = np.array(["02.01.2009 00:10:00", "02.01.2009 00:10"])
    parts = {"year": [2009.0], "month": [1.0], "day": [2.0], "hour": [5.0]}
    seconds = int(np.datetime64("2009-01-02T00:10", "s").astype(int))
    assert times_of({"when": iso}, ["when"]).tolist() == [seconds] * 2
    assert times_of({"when": dotted}, ["when"]).tolist() == [seconds] * 2
    split = times_of({name: np.array(values) for name, values in parts.items()}, list(parts))
    assert split.tolist() == [seconds + 4 * 3600 + 50 * 60]


@pytest.mark.parametrize("cell", ["yesterday", "", "2009-13-01", "31.02.2009 00:00:00"])
def test_what_is_no_time_is_refused(cell: str) -> None:
    with pytest.raises(InvalidArgument, match=r"A time is ISO 8601"):
        times_of({"when": np.array([cell])}, ["when"])


def test_rows_are_put_in_order_and_those_not_there_become_gaps() -> None:
    times = hourly(6)[[3, 0, 1, 5, 4]]
    made = table([3, 0, 10, 5, 4], times)
    assert made.minutes == 60
    np.testing.assert_array_equal(made.rows[:, 0], [0, 10, np.nan, 3, 4, 5])


def test_of_rows_with_the_same_time_the_first_counts(caplog: pytest.LogCaptureFixture) -> None:
    made = table([0, 1, 7, 3], hourly(3)[[0, 1, 1, 2]])
    assert made.rows[:, 0].tolist() == [0, 1, 3]
    assert "1 rows have the time of one before them" in caplog.text


def test_a_time_between_two_rows_is_refused() -> None:
    times = np.array([*hourly(5), "2020-01-01 03:30"])
    with pytest.raises(InvalidArgument, match=r"every 60 minutes, 1 rows between, the first at 2020-01-01T03:30:00"):
        table([0, 1, 0, 1, 0, 1], times)


# --- columns -------------------------------------------------------------------------------------------------------


def test_a_column_of_words_becomes_one_of_ones_and_zeros_a_word() -> None:
    made = table([0, 2, 1, 4, 3, 5], wind=["N", "S", "N", "", "S", "N"])
    assert made.columns == ("t", "wind=N", "wind=S")
    np.testing.assert_array_equal(made.rows[:, 1], [1, 0, 1, np.nan, 0, 1])
    np.testing.assert_array_equal(made.rows[:, 2], [0, 1, 0, np.nan, 1, 0])


def test_what_columns_there_are_is_decided_before_the_test_begins() -> None:
    made = table([0, 2, 1, 4, 3, 5], seen=0.67, wind=["N", "S", "N", "N", "E", "S"], late=[7, 7, 7, 7, 8, 9])
    assert made.columns == ("t", "wind=N", "wind=S")
    assert made.rows[4:, 1:].tolist() == [[0, 0], [0, 1]]


def test_columns_with_nothing_to_learn_from_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"station {number}" for number in range(20)]
    made = table(
        [n**2 for n in range(20)], number=range(40, 60), same=[5] * 20, named=names, scarce=[1.0, 2] + [np.nan] * 18
    )
    assert made.columns == ("t",)
    for name in ("number", "same", "named", "scarce"):
        assert f"Column {name} is left out" in caplog.text


@pytest.mark.parametrize("target", [[5.0] * 10, [1.0, 2] + [np.nan] * 8])
def test_a_target_with_nothing_to_learn_from_is_refused(target: list[float]) -> None:
    with pytest.raises(InvalidArgument, match=r"Received"):
        table(target)


def test_missing_numbers_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    table([0, 1, np.nan, 4, 9, 3, 3, 8, 5, 6], rain=[np.nan, 1, 0, 0, 1, 4, 0, 0, 0, 2])
    assert "2 of 20 numbers are missing" in caplog.text


# --- gaps ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(-9, 9), st.just(np.nan), st.just(np.inf)), min_size=1, max_size=40))
def test_a_gap_is_filled_by_the_number_before_it_or_else_the_first(column: list[float]) -> None:
    expected = np.array(column, np.float32)
    for row in range(len(column)):
        if not np.isfinite(expected[row]):
            expected[row] = expected[row - 1] if row else next((x for x in column if np.isfinite(x)), np.nan)
    rows = np.array(column, np.float32)[:, np.newaxis]
    np.testing.assert_array_equal(fill_gaps(rows)[:, 0], expected)


def test_columns_and_windows_are_filled_each_on_its_own() -> None:
    window = np.array([[1, np.nan], [np.nan, 5]], np.float32)
    other = np.array([[np.nan, np.nan], [np.nan, 7]], np.float32)
    np.testing.assert_array_equal(fill_gaps(np.stack([window, other])), [[[1, 5], [1, 5]], [[np.nan, 7], [np.nan, 7]]])
