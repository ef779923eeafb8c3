"""What a plugin's author is told before anything is trained, and what of the rest comes in a sentence, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from plugins.contract import AllData, InputField, Metric, OutputField, Samples, Signature, Task
from services.core.errors import InvalidArgument
from services.trainer.run_record import RunState, read_records
from tests.trainer.mistaken_plugin import NUMBERS, Measured, Mistaken, data, network, softmax, targets, train_in


def two_heads(config: Any, variant: str, train: Samples) -> Any:
    numbers = keras.Input((4,))
    model = keras.Model(numbers, {"sign": softmax()(numbers)})
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Product(keras.layers.Layer):
    """A layer of five numbers, of four."""

    def call(self, numbers: Any) -> Any:
        return numbers @ keras.ops.ones((5, 5))


def signature(function: Any = None, **changes: Any) -> Any:
    """Signatures by one that takes four numbers and answers two scores, but for what is changed."""

    def signatures(model: Any) -> Mapping[str, Signature]:
        one = Signature(
            Task.CLASSIFY,
            function or (lambda numbers: {"scores": model(numbers)}),
            (InputField(name="numbers", dtype="float32", shape=(4,)),),
            (OutputField(name="scores", dtype="float32", shape=(2,), content="scores"),),
            {"numbers": [1.0, 2.0, 3.0, 4.0]},
        )
        return {"classify": replace(one, **changes)}

    return signatures


def scores(**changes: Any) -> Any:
    """The same with one output otherwise."""
    field = {"name": "scores", "dtype": "float32", "shape": (2,), "content": "scores", **changes}
    return signature(outputs=(OutputField.model_validate(field),))


MISTAKES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no training data": (
        {"load_data": data(train=NUMBERS.take(np.arange(0)))},
        "a sample or more. Received: none in train",
    ),
    "no test data": ({"load_data": data(test=NUMBERS.take(np.arange(0)))}, "a sample or more. Received: none in test"),
    "classes from 1": ({"load_data": data(targets(NUMBERS.targets + 1))}, "from 0 to 1. Received: 1 to 2 in train"),
    "classes from -1": ({"load_data": data(test=targets(NUMBERS.targets - 1))}, "Received: -1 to 0 in test"),
    "one-hot classes": (
        {"load_data": data(targets(np.eye(2)[NUMBERS.targets]))},
        r"Received: float64 of shape \[100, 2\]",
    ),
    "classes by name": (
        {"load_data": data(targets(["no"] * 100))},
        "class numbers as targets of scores.*Received: <U2",
    ),
    "data of another width": (
        {"load_data": data(*[Samples(NUMBERS.inputs[:, :3], NUMBERS.targets)] * 2), "build_model": network(softmax)},
        r"of plugin tiny .*takes \[None, 4\] and answers \[None, 2\], train with inputs float32 \[7, 3\]",
    ),
    "test data of another width": (
        {"load_data": data(test=Samples(NUMBERS.inputs[:, :3], NUMBERS.targets)), "build_model": network(softmax)},
        r"test with inputs float32 \[7, 3\], targets int64 \[7\]: \w+Error: .*",
    ),
    "inputs of another shape": ({"build_model": network(softmax, takes=5)}, r"takes \[None, 5\] .* float32 \[7, 4\]"),
    "inputs read otherwise": (
        {"load_data": data(Samples(NUMBERS.inputs, NUMBERS.targets, read=lambda x: x[:, :, 5]))},
        r"train with .*ValueError: Index out of range using input dim 2.* \(test_rehearsal.py, line \d+: ",
    ),
    "too few outputs": (
        {"build_model": network(lambda: keras.layers.Dense(1, activation="sigmoid"))},
        r"answers \[None, 1\].* is not in \[0, 1\)",
    ),
    "too many outputs": (
        {"build_model": network(lambda: softmax(3))},
        r"scores of signature classify is float32 of shape \[rows, 2\]. Received: float32 of shape \[rows, 3\]",
    ),
    "a loss of one-hot classes": ({"build_model": network(softmax, loss="categorical_crossentropy")}, "same rank"),
    "a loss of values": ({"build_model": network(softmax, loss="mse")}, r"Incompatible shapes: \[7\] vs. \[7,2\]"),
    "no such loss": ({"build_model": network(softmax, loss="entropy")}, "Could not interpret loss identifier: entropy"),
    "no such metric": ({"build_model": network(softmax, metrics=["acuracy"])}, "metric identifier: acuracy"),
    "no such optimizer": (
        {"build_model": network(softmax, optimizer="adm")},
        r"build_model returns.*for variant dense. Received: ValueError: .* adm \(mistaken_plugin.py, line \d+: model",
    ),
    "no metric": ({"build_model": network(softmax, metrics=[])}, "Received: 'accuracy', and figures loss"),
    "another metric": (
        {"metric": Metric("val_accuracy", True)},
        "Received: 'val_accuracy', and figures accuracy, loss",
    ),
    "not compiled": ({"build_model": lambda *_: keras.Sequential([softmax()])}, "Received: a Sequential, not compiled"),
    "a list of models": ({"build_model": lambda *_: [keras.Model()]}, "a compiled keras.Model. Received: list"),
    "a layer that fails": (
        {"build_model": network(Product, softmax)},
        r"Dimensions must be equal, but are 4 and 5 .*\(test_rehearsal.py, line \d+: return numbers @ keras.ops",
    ),
    "other parameters": ({"build_model": lambda config, train: None}, "takes 2 positional arguments but 3 were given"),
    "a head of another name": ({"build_model": two_heads}, "Received: scores, and sign"),
    "no signature": ({"signatures": lambda model: {}}, "has a signature for that. Received: no signature"),
    "signatures by no name": ({"signatures": lambda model: None}, "Signatures by name. Received: NoneType"),
    "a signature for another task": ({"signatures": signature(task=Task.REGRESS)}, "Received: classify"),
    "an output without content": ({"signatures": scores(content="numbers")}, "Received: scores of 'numbers'"),
    "too many labels": ({"signatures": scores(labels=("a", "b", "c"))}, "Received: 3 labels, 2 columns"),
    "another dtype": ({"signatures": scores(dtype="float64")}, "is float64 of .*Received: float32"),
    "another name": ({"signatures": signature(lambda numbers: {"points": numbers})}, r"Received: \['points'\]"),
    "a tensor": (
        {"signatures": signature(lambda numbers: numbers)},
        "returns a dict of tensors. Received: SymbolicTensor",
    ),
    "one row for all": (
        {"signatures": signature(lambda numbers: {"scores": tf.reduce_mean(numbers[:, :2], axis=0, keepdims=True)})},
        r"a row an instance, however many. Received: \[1, 2\]",
    ),
    "Python in the graph": (
        {"signatures": signature(lambda numbers: {"scores": tf.ensure_shape(in_python(numbers), (None, 2))})},
        "a model server has no Python of yours. Received: a py_function",
    ),
    "NumPy in the graph": (
        {"signatures": signature(lambda numbers: {"scores": np.abs(numbers)})},
        r"are traced by TensorFlow. Received: .*symbolic tf.Tensor.* \(test_rehearsal.py, line",
    ),
    "no such dtype": (
        {"signatures": signature(inputs=(InputField(name="numbers", dtype="float", shape=(4,)),))},
        "Input numbers of .* a dtype such as float32, int64 or string. Received: 'float'",
    ),
    "an example of words": ({"signatures": signature(example={"numbers": "many"})}, r"shape \[4\]. Received: 'many'"),
    "a short example": ({"signatures": signature(example={"numbers": [1, 2]})}, r"shape \[4\]. Received: \[1, 2\]"),
    "no baseline": (
        {"baseline": lambda data: None},
        "baseline of plugin tiny returns figures by name. Received: TypeError",
    ),
}


def in_python(numbers: Any) -> Any:
    return tf.numpy_function(lambda rows: rows[:, :2], [numbers], tf.float32)


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_a_mistake_is_told_in_a_sentence_before_anything_is_trained(mistake: str, tmp_path: Path) -> None:
    otherwise, told = MISTAKES[mistake]
    with pytest.raises(InvalidArgument, match=told) as fault:
        train_in(tmp_path, Mistaken(**otherwise))
    assert "\n" not in fault.value.message and "\x1b" not in fault.value.message
    (run,) = read_records(tmp_path / "runs")
    assert (run.state, run.error) == (RunState.FAILED, f"InvalidArgument: {fault.value.message}")
    assert not (tmp_path / "runs" / run.id / "metrics.jsonl").exists()


def test_class_numbers_may_be_floats(tmp_path: Path) -> None:
    run, _ = train_in(tmp_path, Mistaken(load_data=data(*[targets(NUMBERS.targets.astype(np.float32))] * 2)))
    assert run.state is RunState.REJECTED


class Broken(keras.Sequential):
    """Fails while it is trained."""

    def train_step(self, data: Any) -> Any:
        return {"loss": self.nothing(data)}


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (
            {"protocol": AllData(), "build_model": lambda *_: broken()},
            r"targets int64.* no attribute 'nothing' \(test_rehea",
        ),
        ({"build_model": network(softmax, metrics=[])}, r"compiled with\. Received: 'accuracy', and a model with loss"),
        ({"snapshot": lambda model: "png"}, "snapshot returns PNG bytes, or None. Received: str"),
        ({"frozen": lambda model: model.layers[0]}, "frozen of plugin tiny returns a part of the model.* Received: "),
    ],
)
def test_a_mistake_that_shows_in_training_is_told_in_a_sentence(
    mistake: Mapping[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=told):
        train_in(tmp_path, Measured(measured=lambda samples: {"accuracy": 0.5}, **mistake))


def broken() -> Any:
    model = Broken([keras.Input((4,)), softmax()])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        (lambda samples: None, "evaluate returns figures by name. Received: NoneType"),
        (lambda samples: {"f1": 1.0}, "Received: 'accuracy', and figures f1"),
        (lambda samples: {"accuracy": sum(samples)}, r"'Samples' object is not iterable \(test_rehearsal.py, line"),
    ],
)
def test_after_a_mistake_that_shows_when_all_is_trained_nothing_is_trained_again(
    measured: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidArgument, match=told):
        train_in(tmp_path, Measured(measured=measured))
    (failed,) = read_records(tmp_path / "runs")
    lines = (tmp_path / "runs" / failed.id / "metrics.jsonl").read_text()
    run, printed = train_in(tmp_path, Measured(measured=lambda samples: {"accuracy": 0.5}), resume=failed.id)
    assert (run.id, run.state) == (failed.id, RunState.REJECTED)
    assert (tmp_path / "runs" / failed.id / "metrics.jsonl").read_text() == lines and "epoch" not in printed
