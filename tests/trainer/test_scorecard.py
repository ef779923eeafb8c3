"""What the report says of a classifier's scores."""

from __future__ import annotations

import numpy as np

from services.trainer.report.scorecard import scorecard

PAIR = ("no", "yes")


def test_two_classes_have_one_curve_and_say_whether_the_model_is_too_sure() -> None:
    targets, yes = np.array([[0], [1], [0], [1]]), np.array([0.1, 0.8, 0.9, 0.95])
    found = scorecard(targets, np.stack([1 - yes, yes], axis=1), PAIR)
    assert found.said.startswith("ROC AUC 0.75, average precision 0.8333, for yes. Expected calibration error 0.26")
    assert found.said.endswith("too sure, 88.8 % sure where 75.0 % are right.")
    assert (found.picture or b"").startswith(b"\x89PNG")


def test_many_classes_are_averaged_each_against_the_rest() -> None:
    targets = np.array([0, 1, 2, 3, 4, 5, 5])
    found = scorecard(targets, np.eye(7)[targets], tuple("abcdefg"))
    assert "ROC AUC 1, average precision 1: each class against the rest, mean of 6 classes." in found.said
    assert "the mean and the 4 classes with the smallest area" in found.said
    assert list(found.classes) == list("abcdef")  # nothing is, or was taken for, a g


def test_a_test_split_of_one_class_has_no_curves() -> None:
    found = scorecard(np.array([1, 1]), np.array([[0.5, 0.5], [0.25, 0.75]]), PAIR)
    assert found.said.startswith("Expected calibration error") and found.picture
    assert found.classes["yes"].recall == 0.5


def test_scores_that_are_no_chances_have_no_calibration() -> None:
    found = scorecard(np.array([0, 1]), np.array([[3.0, -1.0], [0.5, 2.0]]), PAIR)
    assert "AUC" in found.said and "calibration" not in found.said


def test_scores_that_diverged_have_the_table_only() -> None:
    found = scorecard(np.array([0, 1]), np.full((2, 2), np.nan), PAIR)
    assert (found.said, found.picture) == ("", None)
    assert found.classes["no"].recall == 1
