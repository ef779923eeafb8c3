"""What a plugin's load_data may give, and what it is told else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plugins.contract import Config, Data, InvalidArgument, Samples
from services.trainer.data import gaps, load
from tests.trainer.mistaken_plugin import NUMBERS, Mistaken, data, targets
from tests.trainer.tiny_plugin import TinyConfig
from tests.trainer.train_tiny import NoDatasets


def loaded(load_data: Callable[..., Any], config: Config | None = None) -> Data:
    return load(Mistaken(load_data=load_data), config or TinyConfig(), NoDatasets())


def test_a_quick_look_trains_on_the_same_few_samples_each_time_and_tests_on_all() -> None:
    rows = np.arange(100)
    whole = data(Samples(rows, rows), Samples(rows[:30], rows[:30]))
    few = [loaded(whole, TinyConfig(samples=10, seed=seed)) for seed in (1, 1, 2)]
    assert [len(one.train) for one in few] == [10, 10, 10]
    assert few[0].train.inputs.tolist() == few[1].train.inputs.tolist() != few[2].train.inputs.tolist()
    assert len(few[0].test) == 30
    assert len(loaded(whole, TinyConfig(samples=1000)).train) == 100


def raises(config: TinyConfig, datasets: Any) -> Data:
    return Data(NUMBERS, missing)  # type: ignore[name-defined]  # noqa: F821  # the mistake


def opens(config: TinyConfig, datasets: Any) -> Data:
    return Data(NUMBERS, np.load("nowhere.npz"))


def refuses(config: TinyConfig, datasets: Any) -> Data:
    raise InvalidArgument("Rings are round. Received: squares")


@pytest.mark.parametrize(
    ("load_data", "told"),
    [
        (lambda config, datasets: (NUMBERS, NUMBERS), "returns Data.*Received: tuple"),
        (data(train=(NUMBERS.inputs, NUMBERS.targets)), r"test=Samples\(\.\.\.\)\). Received: tuple"),
        (data(train=Samples([[1.0]], np.zeros(1))), "NumPy arrays, rows first. Received: list as inputs of train"),
        (data(test=Samples((row for row in "ab"), np.zeros(2))), "Received: generator as inputs of test"),
        (data(train=targets(NUMBERS.targets[:95])), "Received: 100 inputs, 95 targets in train"),
        (data(test=targets(NUMBERS.targets[:95])), "Received: 100 inputs, 95 targets in test"),
        (
            data(Samples({"a": NUMBERS.inputs, "b": NUMBERS.inputs[3:]}, NUMBERS.targets)),
            "Received: 100 inputs a, 97 inputs b, 100 targets in train",
        ),
        (
            data(Samples(np.array([[1], [2, 3]], object), np.zeros(2))),
            r"texts or bytes.*Received: \[1\] first in inputs",
        ),
        (data(targets([1.0] * 7 + [np.nan] * 93)), "Received: NaN first in row 7 of targets of train"),
        (raises, r"NameError: name 'missing' is not defined \(test_data.py, line \d+: return Data\(NUMBERS, missing\)"),
        (opens, r"FileNotFoundError: .*'nowhere.npz' \(test_data.py, line \d+: return Data\(NUMBERS, np.load"),
        (refuses, "^Rings are round. Received: squares$"),
    ],
)
def test_data_that_cannot_be_trained_on_are_told_in_a_sentence(load_data: Any, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        loaded(load_data)


def test_a_file_that_may_not_be_read_is_no_fault_of_the_plugins() -> None:
    def locked(config: TinyConfig, datasets: Any) -> Data:
        raise PermissionError(13, "Permission denied", "points.npz")

    with pytest.raises(PermissionError):
        loaded(locked)


def test_inputs_with_gaps_are_said_because_a_model_may_fill_them() -> None:
    holed = NUMBERS.inputs.copy()
    holed[3, 0] = np.nan
    (said,) = gaps(loaded(data(test=Samples(holed, NUMBERS.targets))))
    assert said.startswith("inputs of test have NaN, first in row 3:")
