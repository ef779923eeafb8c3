"""Predictions by bin: on held-out data and afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.core.card import Expected, OutputField
from services.core.predictions import counts, expected_of, fits
from services.core.tensors import Array

LABELS = ("a", "b", "c")
ABC = OutputField(name="scores", dtype="float32", shape=(3,), content="scores", labels=LABELS)
MANY = OutputField(name="scores", dtype="float32", shape=(1000,), content="scores")
PRICE = OutputField(name="values", dtype="float32", shape=(1,), content="values")

NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=True)
VALUES = arrays.arrays(np.float32, st.tuples(st.integers(0, 400), st.just(1)), elements=NUMBERS)
SCORES = arrays.arrays(np.float32, st.tuples(st.integers(0, 200), st.just(3)), elements=NUMBERS)


def told(field: OutputField, table: Array) -> Expected:
    expected = expected_of(field, table)
    assert expected is not None
    return expected


def of_class(*classes: int) -> Array:
    return np.eye(3, dtype=np.float32)[list(classes)]


def test_few_classes_are_bins_by_their_labels() -> None:
    expected = told(ABC, of_class(*[0] * 150, *[2] * 50))
    assert expected == Expected(columns=3, shares={"a": 0.75, "b": 0.0, "c": 0.25})
    assert counts(expected, of_class(1, 2, 2)).tolist() == [0, 1, 2]


def test_a_value_falls_into_a_tenth_of_those_held_out_and_beyond_them_into_the_first_or_last() -> None:
    expected = told(PRICE, np.arange(1000, dtype=np.float32)[:, None])
    assert expected.edges == (99, 199, 299, 399, 499, 599, 699, 799, 899)
    assert set(expected.shares.values()) == {0.1}
    assert list(expected.shares)[::9] == ["<=99", ">899"]
    asked = np.array([-5, 99, 99.5, 899, 1e9], np.float32)[:, None]
    assert counts(expected, asked).tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 1, 1]


def test_of_many_classes_the_highest_score_is_what_is_told_apart() -> None:
    table = np.zeros((500, 1000), np.float32)
    table[:, 7] = np.linspace(0.2, 0.9, 500)
    expected = told(MANY, table)
    assert (expected.columns, len(expected.shares)) == (1000, 10)
    assert counts(expected, table) == pytest.approx([50] * 10, abs=1)  # edges are told in four digits


def test_little_data_makes_fewer_bins_and_very_little_none() -> None:
    """Else chance would make the shares differ."""
    prices = np.arange(400, dtype=np.float32)[:, None]
    assert len(told(PRICE, prices[:102]).shares) == 2
    assert expected_of(PRICE, prices[:99]) is None
    assert len(told(ABC, of_class(*[0] * 150)).shares) == 3
    assert expected_of(ABC, of_class(*[0] * 149)) is None, "its highest scores are all the same"


@pytest.mark.parametrize("table", [np.full((500, 1), np.nan), np.ones((500, 1)), np.ones((500, 2)), np.ones((0, 1))])
def test_nothing_is_expected_of_what_cannot_be_told_apart(table: Array) -> None:
    assert expected_of(PRICE, table.astype(np.float32)) is None


@pytest.mark.parametrize("column", [np.ones(3), np.ones((3, 2)), np.ones((3, 1, 1)), np.array([[b"1"]], object)])
def test_an_answer_of_another_shape_or_type_does_not_fit(column: Array) -> None:
    assert not fits(Expected(columns=1, edges=(1.0,), shares={"<=1": 0.5, ">1": 0.5}), column)


def test_what_is_not_finite_falls_into_no_bin() -> None:
    expected = told(ABC, of_class(*[0] * 150))
    odd = np.array([[np.nan, 0, 1], [np.inf, 0, 0], [-np.inf] * 3, [0, -np.inf, 1]], np.float32)
    assert counts(expected, odd).tolist() == [0, 0, 1]


def test_the_largest_numbers_of_a_type_have_edges_like_others() -> None:
    largest = np.full((400, 1), np.finfo(np.float32).max)
    largest[:200] = 1
    assert told(PRICE, largest).edges == (1.0,)


@given(VALUES | SCORES)
def test_the_shares_are_those_of_the_data_that_they_were_made_of(table: Array) -> None:
    expected = expected_of(ABC if table.shape[1] == 3 else PRICE, table)
    if expected is None:
        return
    found, shares = counts(expected, table), np.array(list(expected.shares.values()))
    assert len(expected.shares) <= 20
    assert len(expected.shares) == (len(expected.edges) + 1 if expected.edges else table.shape[1])
    assert list(expected.edges) == sorted(set(expected.edges))
    assert found.sum() == np.isfinite(table.max(axis=1)).sum()
    np.testing.assert_allclose(found / found.sum(), shares)


@given(VALUES, st.integers(0, 400))
def test_it_does_not_matter_in_how_many_parts_answers_are_counted(table: Array, cut: int) -> None:
    expected = told(PRICE, np.linspace(-10, 10, 500, dtype=np.float32)[:, None])
    parts = counts(expected, table[:cut]) + counts(expected, table[cut:])
    assert parts.tolist() == counts(expected, table).tolist()
