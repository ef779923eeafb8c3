"""Which outputs a test split can judge, and what the model in memory answers there."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from plugins.contract import OutputField, Samples, Task
from services.core.card import SignatureCard
from services.core.errors import InvalidArgument
from services.trainer.data import Part
from services.trainer.heads import Head, check_targets, expectations, head_fields, heads_of

AGE = OutputField(name="age", dtype="float32", shape=(1,), content="values")
SEX = OutputField(name="sex", dtype="float32", shape=(2,), content="scores", labels=("male", "female"))
NAIVE = OutputField(name="naive", dtype="float32", content="numbers")
TOPICS = OutputField(name="topics", dtype="float32", content="scores", independent=True)


def card(*outputs: OutputField) -> SignatureCard:
    return SignatureCard(task=Task.CLASSIFY, inputs=(), outputs=outputs, example={})


@pytest.fixture(scope="module")
def model() -> Any:
    """Answers twice the number, and how sure it is that it is positive."""
    number = keras.Input((1,))
    twice = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(2.0))(number)
    return keras.Model(number, {"age": twice, "sex": keras.layers.Activation("sigmoid")(number)})


def test_one_head_is_judged_by_its_tasks_figure_and_several_by_their_names() -> None:
    assert head_fields({"classify": card(SEX), "other": card(AGE)}) == {"accuracy": SEX}
    assert head_fields({"regress": card(AGE, NAIVE)}) == {"mae": AGE}
    assert head_fields({"classify": card(AGE, SEX)}) == {"age_mae": AGE, "sex_accuracy": SEX}
    assert head_fields({"classify": card(TOPICS)}) == {}


def test_each_head_has_its_own_answers_and_targets(model: Any) -> None:
    inputs, right = np.array([[-1.0], [3.0]], np.float32), np.array([[0.0], [0.0]])
    samples = Samples(inputs, {"age": inputs, "sex": right})
    age, sex = heads_of(head_fields({"classify": card(AGE, SEX)}), model, samples)
    assert age.predictions.tolist() == [[-2.0], [6.0]]
    assert age.sample_scores().mean() == 2.0
    np.testing.assert_allclose(sex.predictions.sum(axis=1), 1)  # a sigmoid's column has become two
    assert sex.sample_scores().tolist() == [1.0, 0.0]
    assert (age.labels, sex.labels) == ((), ("male", "female"))


@pytest.mark.parametrize(
    ("field", "targets", "told"),
    [
        (SEX, np.array([0, 1, 2]), "from 0 to 1. Received: 0 to 2 in train"),
        (SEX, np.array([-1, 0, 1]), "from 0 to 1. Received: -1 to 1 in train"),
        (SEX, np.array([0.0, 0.5, 1.0]), r"Received: float64 of shape \[3\] in train"),
        (SEX, np.array(["male"] * 3), r"Received: <U4 of shape \[3\] in train"),
        (SEX, np.eye(2)[[0, 1, 0]], r"Received: float64 of shape \[3, 2\] in train"),
        (AGE, np.zeros((3, 2)), r"as many targets as age has values, 1 a sample. Received: float64 of shape \[3, 2\]"),
        (AGE, {"ages": np.zeros(3)}, "Received: age, and ages"),
    ],
)
def test_targets_that_are_no_answers_of_their_head_are_refused(field: OutputField, targets: Any, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        check_targets({"": field}, Part("train", Samples(np.zeros(3), targets)))


@pytest.mark.parametrize(
    ("field", "targets"),
    [
        (SEX, np.array([0, 1])),
        (SEX, np.array([[0.0], [1.0]], np.float32)),
        (SEX, np.array([False, True])),
        (SEX, np.array([], np.int64)),
        (AGE, np.zeros(2)),
        (AGE, {"age": np.zeros((2, 1))}),
        (AGE.model_copy(update={"shape": (None,)}), np.zeros((2, 7))),
    ],
)
def test_targets_are_class_numbers_or_as_many_values_as_their_head_has(field: OutputField, targets: Any) -> None:
    check_targets({"": field}, Part("train", Samples(np.zeros(2), targets)))


def test_answers_are_expected_by_output_but_not_where_its_name_is_another_in_some_signature() -> None:
    ages = Head(AGE, "age_mae", np.zeros(200), np.arange(200, dtype=np.float32)[:, None])
    sexes = Head(SEX, "sex_accuracy", np.zeros(200), np.eye(2, dtype=np.float32)[[1] * 200])
    expected = expectations({"classify": card(AGE, SEX), "other": card(SEX)}, [ages, sexes])
    assert list(expected["age"].shares) == ["<=49", "<=99", "<=149", ">149"]
    assert expected["sex"].shares == {"male": 0.0, "female": 1.0}
    scaled = AGE.model_copy(update={"unit": "standard deviations"})
    assert list(expectations({"classify": card(AGE, SEX), "other": card(scaled)}, [ages, sexes])) == ["sex"]
    assert expectations({"classify": card(AGE)}, [Head(AGE, "mae", np.zeros(3), ages.predictions[:3])]) == {}
