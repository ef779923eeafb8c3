"""Which rows are trained on, which validated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.contract import AllData, HoldOut, IteratedKFold, KFold, Untrained
from services.core.errors import InvalidArgument
from services.trainer.fit.protocols import best_epoch, cuts, trains_again
from services.trainer.run_record import History, MetricRecord


@given(rows=st.integers(2, 50), folds=st.integers(2, 5), repeats=st.integers(1, 3), seed=st.integers(0, 9))
def test_every_row_is_validated_once_a_repeat_and_never_trained_on_in_that_fold(
    rows: int, folds: int, repeats: int, seed: int
) -> None:
    folds = min(folds, rows)
    parts = cuts(IteratedKFold(folds, repeats), rows, seed)
    assert [part.name for part in parts] == [f"fold {number + 1}" for number in range(folds * repeats)]
    for repeat in range(repeats):
        validated = np.concatenate([part.validation for part in parts[repeat * folds : (repeat + 1) * folds]])
        assert sorted(validated) == list(range(rows))
    for part in parts:
        assert sorted([*part.train, *part.validation]) == list(range(rows))


def test_folds_are_shuffled_by_the_seed() -> None:
    first, again, other = (cuts(KFold(4), 100, seed)[0].validation.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert first != sorted(first)


def test_each_repeat_is_shuffled_anew() -> None:
    parts = cuts(IteratedKFold(2, 2), 100, 1)
    assert set(parts[0].validation) != set(parts[2].validation)


def test_hold_out_in_order_validates_on_the_end() -> None:
    (part,) = cuts(HoldOut(3, in_order=True), 10, 1)
    assert part.train.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert part.validation.tolist() == [7, 8, 9]


def test_hold_out_of_a_share_validates_on_that_share() -> None:
    (part,) = cuts(HoldOut(0.25, in_order=True, gap=1), 12, 1)
    assert part.train.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert part.validation.tolist() == [9, 10, 11]


def test_hold_out_shuffles_otherwise() -> None:
    (part,) = cuts(HoldOut(30), 100, 1)
    assert sorted([*part.train, *part.validation]) == list(range(100))
    assert part.validation.tolist() != list(range(70, 100))


def test_a_gap_before_the_cut_is_used_for_nothing() -> None:
    (part,) = cuts(HoldOut(3, in_order=True, gap=2), 10, 1)
    assert part.train.tolist() == [0, 1, 2, 3, 4]
    assert part.validation.tolist() == [7, 8, 9]


@pytest.mark.parametrize("protocol", [Untrained(), AllData()])
def test_some_models_are_not_validated(protocol: Untrained | AllData) -> None:
    assert cuts(protocol, 10, 1) == ()
    assert not trains_again(protocol)


def test_a_gap_that_leaves_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Received: 7 of 10 samples"):
        cuts(HoldOut(3, gap=7), 10, 1)


@pytest.mark.parametrize("protocol", [HoldOut(0), HoldOut(0.01), HoldOut(10), KFold(1), KFold(11)])
def test_a_protocol_that_leaves_a_part_empty_is_refused(protocol: HoldOut | KFold) -> None:
    with pytest.raises(InvalidArgument, match=r"10 training samples\. Received"):
        cuts(protocol, 10, 1)


def test_folds_and_refits_train_again_on_everything() -> None:
    assert [trains_again(p) for p in (HoldOut(1), HoldOut(1, refit=True), KFold())] == [False, True, True]


def test_the_best_epoch_is_that_of_the_mean_curve_as_far_as_all_folds_went() -> None:
    mae = MetricRecord(name="mae", higher_is_better=False)
    histories: list[History] = [{"val_mae": (3.0, 1.0, 2.0, 0.0)}, {"val_mae": (3.0, 2.5, 1.0)}]
    assert best_epoch(mae, histories) == 3


def test_nan_is_never_the_best_epoch() -> None:
    accuracy = MetricRecord(name="accuracy", higher_is_better=True)
    assert best_epoch(accuracy, [{"val_accuracy": (0.5, float("nan"), 0.7)}]) == 3
