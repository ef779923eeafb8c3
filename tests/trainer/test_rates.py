"""Curves, calibration and rates by class, against their definitions worked out the long way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.contract import Array
from services.trainer.report.rates import BINS, Curve, class_rates, mean_of, precision_recall, reliability, roc


@st.composite
def scored(draw: st.DrawFn) -> tuple[Array, Array]:
    """Positives and negatives, at least one of each, and their scores; few values, so that many tie."""
    positive = draw(st.permutations([True, False, *draw(st.lists(st.booleans(), max_size=20))]))
    score = st.integers(0, 4).map(lambda fifth: fifth / 4) | st.floats(0, 1, width=32)
    scores = draw(st.lists(score, min_size=len(positive), max_size=len(positive)))
    return np.array(positive), np.array(scores)


@given(scored())
def test_the_area_below_roc_is_the_chance_that_a_positive_scores_higher_ties_half(case: tuple[Array, Array]) -> None:
    positive, scores = case
    pairs = [(above > below) + (above == below) / 2 for above in scores[positive] for below in scores[~positive]]
    assert roc(positive, scores).area == pytest.approx(np.mean(pairs))


@given(scored())
def test_every_threshold_is_a_point_of_both_curves(case: tuple[Array, Array]) -> None:
    positive, scores = case
    taken = [scores >= threshold for threshold in sorted(set(scores), reverse=True)]
    hit, false = ([np.mean(t[kind]) for t in taken] for kind in (positive, ~positive))
    curve = roc(positive, scores)
    np.testing.assert_allclose((curve.across, curve.up), ([0, *false], [0, *hit]))
    precision = [np.mean(positive[t]) for t in taken]
    curve = precision_recall(positive, scores)
    np.testing.assert_allclose((curve.across[1:], curve.up[1:]), (hit, precision))
    assert curve.area == pytest.approx(sum(np.diff([0, *hit]) * precision))


@given(scored())
def test_a_precision_recall_curve_reaches_back_from_each_point(case: tuple[Array, Array]) -> None:
    curve = precision_recall(*case)
    middles = (curve.across[1:] + curve.across[:-1]) / 2
    wide = np.diff(curve.across) > 0
    np.testing.assert_array_equal(curve.at(middles)[wide], curve.up[1:][wide])


def test_scores_that_say_nothing_are_worth_a_half_and_the_share_of_positives() -> None:
    positive, scores = np.array([True, False, False, False]), np.full(4, 0.5)
    assert (roc(positive, scores).area, precision_recall(positive, scores).area) == (0.5, 0.25)


def test_curves_are_averaged_by_height() -> None:
    line, ceiling = Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0])), Curve(np.array([0.0, 0.0, 1.0]), np.ones(3))
    assert mean_of([line, ceiling]).at(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.5, 0.75, 1.0])


def scores_of(count: int, classes: int, seed: int) -> tuple[Array, Any]:
    random = np.random.default_rng(seed)
    return random.integers(0, classes, (count, 1)), random.dirichlet(np.full(classes, 0.3), count).astype(np.float32)


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (40, 2), (300, 7)])
def test_the_calibration_error_is_that_of_its_definition(count: int, classes: int) -> None:
    targets, scores = scores_of(count, classes, seed=classes)
    error = 0.0
    for number in range(BINS):
        rows = [row for row in range(count) if number / BINS < max(scores[row]) <= (number + 1) / BINS]
        right = sum(scores[row].argmax() == targets[row, 0] for row in rows)
        error += abs(right - sum(float(max(scores[row])) for row in rows)) / count
    found = reliability(targets, scores)
    assert found.error == pytest.approx(error)
    assert found.count.sum() == count


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    targets = np.array([0, 0, 0, 1])
    assert reliability(targets, np.tile([0.75, 0.25], (4, 1))).error == 0
    assert reliability(targets, np.tile([1.0, 0.0], (4, 1))).error == 0.25


def test_each_class_has_its_rates() -> None:
    counts = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
    cat, dog, never = class_rates(counts)
    assert (cat.precision, cat.recall, cat.support) == (3 / 5, 3 / 4, 4)
    assert cat.f1 == pytest.approx(2 / 3)
    assert (dog.precision, dog.recall, dog.support) == (4 / 5, 4 / 6, 6)
    assert (never.precision, never.recall, never.f1, never.support) == (None, None, None, 0)


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 99))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(count: int, classes: int, seed: int) -> None:
    counts = np.random.default_rng(seed).multinomial(count, np.full(classes**2, classes**-2)).reshape(classes, classes)
    for rates in class_rates(counts):
        if rates.precision and rates.recall:
            assert rates.f1 == pytest.approx(2 / (1 / rates.precision + 1 / rates.recall))
