"""A model that somebody has already: what its file and a few words make of it."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

from services.core.card import WARMUP_PATH, Task
from services.core.errors import InvalidArgument
from services.store import open_store
from services.trainer.progress import PlainProgress
from services.trainer.release.file_signatures import Words, check_answers, of_keras, of_saved_model
from services.trainer.release.own_model import OwnModel, publish_own
from tests.saved_models import write_affine

REGRESS = Words(Task.REGRESS)


def classify(*labels: str, **words: Any) -> Words:
    return Words(Task.CLASSIFY, labels=labels, **words)


def network(shape: tuple[int | None, ...], *layers: Any, dtype: str = "float32") -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


def dense(units: int, activation: str | None = None) -> Any:
    return keras.layers.Dense(units, activation=activation)


def answer(signature: Any, **columns: Any) -> Mapping[str, Any]:
    said = signature.function(*(tf.constant(columns[field.name], field.dtype) for field in signature.inputs))
    return {name: tensor.numpy() for name, tensor in said.items()}


def tried(signature: Any) -> None:
    """Its own example passes the check."""
    rows = {field.name: np.asarray(signature.example[field.name], field.dtype)[None] for field in signature.inputs}
    check_answers(signature, rows)


def test_columns_have_names_and_the_row_is_answered_too() -> None:
    model = network((2,), dense(1))
    words = Words(Task.REGRESS, features=("rooms", "age"), unit="dollars")
    named, row = of_keras(model, words).items()
    assert (named[0], row[0]) == ("regress", "serving_default")
    assert [field.name for field in named[1].inputs] == ["rooms", "age"]
    assert named[1].outputs[0].unit == "dollars"
    by_name, by_row = answer(named[1], rooms=[4, 5], age=[1, 2]), answer(row[1], input=[[4, 1], [5, 2]])
    assert by_name["values"].tolist() == by_row["values"].tolist()
    assert row[1].example == {"input": [0, 0]}


@pytest.mark.parametrize(("shape", "low", "high"), [((4, 6), 0, 1), ((4, 6, 1), -1, 1), ((4, 6, 3), 0, 255)])
def test_pixels_are_read_from_pictures_as_the_model_takes_them(shape: tuple[int, ...], low: float, high: float) -> None:
    see = network(shape, keras.layers.Flatten())
    (signature,) = of_keras(see, Words(Task.REGRESS, pixels=(low, high))).values()
    picture = Image.new("RGB", (60, 40), (255, 255, 255))
    picture.paste((0, 0, 0), (30, 0, 60, 40))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    seen = answer(signature, image_bytes=[encoded.getvalue()])["values"].reshape(shape)
    assert seen[:, :2].min() == pytest.approx(high, abs=1e-3 * abs(high))
    assert seen[:, -2:].max() == pytest.approx(low, abs=1e-3 * abs(high))


def test_one_chance_with_two_labels_is_that_of_either() -> None:
    (signature,) = of_keras(network((3,), dense(1)), classify("no", "yes", logits=True)).values()
    scores = answer(signature, input=[[1, 2, 3]])["scores"]
    assert scores.shape == (1, 2) and scores.sum() == pytest.approx(1)
    tried(signature)


def test_a_text_stands_by_itself() -> None:
    words = keras.layers.TextVectorization(10, output_sequence_length=3, vocabulary=["so", "good"])
    layers = (words, keras.layers.Embedding(10, 2), keras.layers.Flatten(), dense(2, "softmax"))
    (signature,) = of_keras(network((1,), *layers, dtype="string"), classify("bad", "good")).values()
    assert [(field.name, field.content, field.shape) for field in signature.inputs] == [("text", "text", ())]
    assert answer(signature, text=["so good", "bad"])["scores"].shape == (2, 2)


def test_several_inputs_and_outputs_keep_the_names_they_were_given() -> None:
    left, right = keras.Input((2,), name="left"), keras.Input((), dtype="int32", name="right")
    both = keras.layers.Concatenate()([left, keras.layers.Embedding(5, 2)(right)])
    model = keras.Model({"left": left, "right": right}, {"price": dense(1)(both), "area": dense(2)(both)})
    (signature,) = of_keras(model, REGRESS).values()
    assert {field.name: field.shape for field in signature.inputs} == {"left": (2,), "right": ()}
    said = answer(signature, left=[[1, 2], [3, 4]], right=[1, 2])
    assert {name: array.shape for name, array in said.items()} == {"price": (2, 1), "area": (2, 2)}
    expected = model({"left": np.array([[1, 2], [3, 4]]), "right": np.array([1, 2])})
    assert np.allclose(said["price"], expected["price"]) and np.allclose(said["area"], expected["area"])
    tried(signature)


@pytest.mark.parametrize(
    ("model", "words", "rule"),
    [
        (network((2,), dense(1)), Words(Task.REGRESS, features=("a",)), "a name for each column"),
        (network((2,), dense(1)), Words(Task.REGRESS, pixels=(0, 1)), "Pixels are an input of height"),
        (network((2,), dense(3)), classify("a", "b"), "Received: 2 labels, and a row is scores float32"),
        (network((2,), dense(1)), Words(Task.REGRESS, inputs=("a", "b")), "takes 1 inputs. Received: 2 names"),
        (keras.Model(), REGRESS, "Received: Model without known inputs"),
    ],
)
def test_words_that_do_not_fit_the_model_are_refused(model: Any, words: Words, rule: str) -> None:
    with pytest.raises(InvalidArgument, match=rule):
        of_keras(model, words)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (dense(3), classify("a", "b", "c")),
        (dense(3, "sigmoid"), classify("a", "b", "c")),
        (dense(1), classify("no", "yes")),
    ],
)
def test_scores_that_are_none_are_refused_however_the_example_fares(layer: Any, words: Words) -> None:
    (signature,) = of_keras(network((4,), layer), words).values()
    with pytest.raises(InvalidArgument, match="Scores lie between 0 and 1"):
        tried(signature)


def test_a_model_in_which_rows_touch_each_other_is_refused() -> None:
    class Centred(keras.layers.Layer):
        def call(self, rows: Any) -> Any:
            return rows - keras.ops.mean(rows, axis=0, keepdims=True)

    (signature,) = of_keras(network((4,), Centred()), REGRESS).values()
    with pytest.raises(InvalidArgument, match="Rows of one call do not touch each other"):
        tried(signature)


def test_a_saved_model_keeps_its_signatures(tmp_path: Path) -> None:
    loaded = tf.saved_model.load(str(write_affine(tmp_path / "affine", 2.0, 1.0)))
    signatures = of_saved_model(loaded, Words(Task.REGRESS, unit="m", example={"x": 3}))
    (signature,) = signatures.values()
    assert list(signatures) == ["serving_default"] and signature.example == {"x": 3}
    assert answer(signature, x=[3, 4])["y"].tolist() == [7, 9]
    with pytest.raises(InvalidArgument, match="which are for a file of Keras"):
        of_saved_model(loaded, Words(Task.REGRESS, features=("x",)))


def test_a_saved_model_has_any_number_of_rows_and_a_signature(tmp_path: Path) -> None:
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([4, 2], tf.float32, name="x")])
    tf.saved_model.save(module, str(tmp_path / "fixed"), signatures={"serving_default": module.serve})
    with pytest.raises(InvalidArgument, match=r"Received: x of shape \(4, 2\)"):
        of_saved_model(tf.saved_model.load(str(tmp_path / "fixed")), REGRESS)
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    with pytest.raises(InvalidArgument, match="A SavedModel has a signature"):
        of_saved_model(tf.saved_model.load(str(tmp_path / "bare")), REGRESS)


def published(path: Path, words: Words, folder: Path) -> Any:
    """The card of what was published."""
    store = open_store(str(folder / "store"))
    own = OwnModel(path, "mine", "", words)
    number = publish_own(own, store, PlainProgress(Console(), time.monotonic))
    store.fetch("mine", number, folder / "fetched")
    assert (folder / "fetched" / WARMUP_PATH).is_file()
    return store.card("mine", number)


def test_a_file_of_keras_becomes_a_version_that_a_model_server_has_checked(tmp_path: Path) -> None:
    network((2,), dense(2, "softmax")).save(tmp_path / "model.keras")
    card = published(tmp_path / "model.keras", classify("a", "b", features=("x", "y")), tmp_path)
    assert (card.task, list(card.signatures)) == (Task.CLASSIFY, ["classify", "serving_default"])
    assert card.warnings == ("published from a file: neither measured here nor compared with a baseline",)
    assert card.lineage.config == {"file": "model.keras"}


@pytest.mark.parametrize(
    ("example", "rule"),
    [
        ({"x": 1}, "gives every input without a default. Received: no y"),
        ({"x": 1, "y": 2, "z": 3}, r"has its inputs: x, y. Received: \['z'\]"),
        ({"x": 1, "y": "two"}, r"gives y as float32 of shape \[\]. Received: 'two'"),
        ({"x": 1, "y": [2]}, r"gives y as float32 of shape \[\]. Received: \[2\]"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(tmp_path: Path, example: Mapping[str, Any], rule: str) -> None:
    network((2,), dense(1)).save(tmp_path / "model.keras")
    with pytest.raises(InvalidArgument, match=rule):
        published(tmp_path / "model.keras", Words(Task.REGRESS, features=("x", "y"), example=example), tmp_path)


def test_a_model_that_cannot_answer_its_example_is_refused(tmp_path: Path) -> None:
    network((), keras.layers.Embedding(3, 2), dtype="int32").save(tmp_path / "model.keras")
    with pytest.raises(InvalidArgument, match=r"A model answers an example of its inputs.* Received: InvalidArgument"):
        published(tmp_path / "model.keras", Words(Task.REGRESS, example={"input": 7}), tmp_path)


def test_a_saved_model_becomes_a_version_as_it_is(tmp_path: Path) -> None:
    write_affine(tmp_path / "affine", 2.0, 1.0)
    card = published(tmp_path / "affine", REGRESS, tmp_path)
    assert list(card.signatures) == ["serving_default"]
    before, after = (sorted((folder / "variables").iterdir()) for folder in (tmp_path / "affine", tmp_path / "fetched"))
    assert [path.read_bytes() for path in before] == [path.read_bytes() for path in after]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nothing.keras", "Received: .*nothing.keras, which is not there"),
        ("notes.txt", "which is another kind of file"),
        ("broken.keras", "Keras loads by itself.* Received: .*broken.keras: ValueError"),
        ("folder", "has a saved_model.pb. Received: .*folder, which has none"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, rule: str) -> None:
    (tmp_path / "folder").mkdir()
    for file in ("notes.txt", "broken.keras"):
        (tmp_path / file).write_text("nothing")
    with pytest.raises(InvalidArgument, match=rule):
        published(tmp_path / name, REGRESS, tmp_path)
    assert not open_store(str(tmp_path / "store")).all_versions()
