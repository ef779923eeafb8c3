"""What is rare counts as much as what is frequent, when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.contract import Array, Samples, Task
from services.core.errors import InvalidArgument
from services.trainer.fit.balance import class_weights
from services.trainer.pipeline import fit_all
from tests.trainer.tiny_plugin import Tiny, TinyConfig, recipe_of


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_class_weighs_the_inverse_of_its_share_and_a_sample_1_on_the_mean(shape: tuple[int, ...]) -> None:
    targets = np.repeat([0, 2, 5], [70, 20, 10])
    weights = class_weights(Task.CLASSIFY, targets.reshape(shape))
    assert weights[0] * 0.7 == pytest.approx(weights[2] * 0.2) == pytest.approx(weights[5] * 0.1)
    assert np.mean([weights[target] for target in targets]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("task", "targets", "told"),
    [
        (Task.CLASSIFY, {"age": np.zeros(3), "sex": np.zeros(3)}, "models of one head. Received: age, sex"),
        (Task.REGRESS, np.zeros(3), r"one class number a sample. Received: regress with targets of shape \[3\]"),
        (Task.CLASSIFY, np.zeros((3, 4)), r"Received: classify with targets of shape \[3, 4\]"),
    ],
)
def test_only_one_class_number_a_sample_can_be_balanced(task: Task, targets: Any, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        class_weights(task, targets)


def rare(count: int, seed: int) -> Samples:
    """One sample in twelve is positive, and those lie among the others."""
    random = np.random.default_rng(seed)
    targets = (np.arange(count) % 12 == 0).astype(np.int64)
    return Samples((random.normal(size=(count, 4)) + targets[:, None] * 0.8).astype(np.float32), targets)


def recall_of_the_rare(folder: Path, balance: bool) -> float:
    test: Samples = rare(600, 2)
    config = TinyConfig(epochs=4, learning_rate=0.03, balance_classes=balance)
    model, _, _ = fit_all(recipe_of(Tiny(), folder, config), rare(600, 1))
    answers: Array = model.predict(test.inputs, verbose=0).argmax(axis=1)
    return float(np.mean(answers[test.targets == 1]))


def test_balanced_training_finds_more_of_a_rare_class(tmp_path: Path) -> None:
    before, after = (recall_of_the_rare(tmp_path / str(balance), balance) for balance in (False, True))
    assert before < 0.5 < 0.6 < after
