"""What training leaves for TensorBoard and for those who look into the layers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from plugins.contract import Array
from plugins.texts import lookup
from services.core.errors import InvalidArgument
from services.trainer.fit.activations import tapped
from services.trainer.fit.projector import write_projector
from services.trainer.fit.protocols import cuts
from services.trainer.pipeline import fit_all
from tests.trainer.tiny_plugin import Tiny, TinyConfig, draw, recipe_of

WORDS = ("[UNK]", "film", " ", "", "tab\there")


def logged(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard" / "hold-out" / "train"))
    events.Reload()
    return events


def test_tensorboard_gets_the_figures_and_the_graph_of_layers(tmp_path: Path) -> None:
    model, _, _ = fit_all(recipe_of(Tiny(), tmp_path, TinyConfig(epochs=1)), draw(120, 1))
    events = logged(tmp_path)
    assert {"epoch_loss", "epoch_accuracy"} <= set(events.Tags()["tensors"])
    assert not any("histogram" in tag for tag in events.Tags()["tensors"])
    (written,) = events.Tensors("keras")[0].tensor_proto.string_val
    nodes = keras_model_to_graph_def(json.loads(written)).node  # what its page draws
    assert [node.name.split("/")[-1] for node in nodes][1:] == [layer.name for layer in model.layers]


def test_tensorboard_gets_histograms_of_the_weights_when_asked(tmp_path: Path) -> None:
    fit_all(recipe_of(Tiny(), tmp_path, TinyConfig(epochs=1, log_histograms=True)), draw(120, 1))
    assert sum("kernel/histogram" in tag for tag in logged(tmp_path).Tags()["tensors"]) == 2


class Painter(Tiny):
    """Draws how its bias stands, as one pixel."""

    def snapshot(self, model: Any) -> bytes:
        level = np.clip(128 + 1000 * model.layers[-1].bias.numpy()[0], 0, 255)
        picture: bytes = tf.io.encode_png(np.full((1, 1, 1), level, np.uint8)).numpy()
        return picture


def test_what_a_model_makes_is_kept_epoch_by_epoch_and_shown_by_tensorboard(tmp_path: Path) -> None:
    fit_all(recipe_of(Painter(), tmp_path, TinyConfig(epochs=2)), draw(120, 1))
    files = sorted((tmp_path / "snapshots" / "hold-out").iterdir())
    assert [file.name for file in files] == ["epoch-0001.png", "epoch-0002.png"]
    events = EventAccumulator(str(tmp_path / "tensorboard" / "hold-out" / "snapshots"))
    events.Reload()
    shown = {event.step: event.tensor_proto.string_val[2] for event in events.Tensors("snapshot")}
    for epoch, file in enumerate(files):
        np.testing.assert_array_equal(tf.io.decode_png(shown[epoch]), tf.io.decode_png(file.read_bytes()))
    assert files[0].read_bytes() != files[1].read_bytes()


class Odd(Tiny):
    """Has a layer that cannot be written down."""

    def build_model(self, config: TinyConfig, variant: str, train: Any) -> Any:
        class Twice(keras.layers.Layer):
            def __init__(self, factor: Any) -> None:
                super().__init__()
                self.factor = factor

            def call(self, numbers: Any) -> Any:
                return self.factor() * numbers

        layers = [keras.Input((4,)), Twice(lambda: 2.0), keras.layers.Dense(2, activation="softmax")]
        model = keras.Sequential(layers)
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def test_a_model_that_cannot_be_written_as_json_trains_without_a_graph(tmp_path: Path) -> None:
    fit_all(recipe_of(Odd(), tmp_path, TinyConfig(epochs=1)), draw(120, 1))
    assert "keras" not in logged(tmp_path).Tags()["tensors"]


def test_activations_are_those_of_one_validation_sample_epoch_by_epoch(tmp_path: Path) -> None:
    samples, config = draw(120, 1), TinyConfig(epochs=2, keep_best=False, log_activations=True)
    recipe = recipe_of(Tiny(), tmp_path, config)
    model, _, _ = fit_all(recipe, samples)
    files = sorted((tmp_path / "activations" / "hold-out").iterdir())
    assert [file.name for file in files] == ["epoch-0001.npz", "epoch-0002.npz"]
    first, last = (dict(np.load(file)) for file in files)
    (part,) = cuts(recipe.protocol, len(samples), config.seed)
    sample = samples.inputs[part.validation[:1]]
    assert list(last) == [layer.name for layer in model.layers]
    np.testing.assert_allclose(last[model.layers[-1].name], model.predict(sample, verbose=0), rtol=1e-5)
    assert not np.array_equal(first[model.layers[-1].name], last[model.layers[-1].name])


def test_a_layer_that_is_called_twice_is_told_twice_and_a_model_inside_is_one_layer() -> None:
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)], name="inner")
    double = keras.layers.Rescaling(2.0, name="double")
    model = keras.Model({"left": left, "right": right}, inner(double(left) + double(right)))
    given = {"left": np.ones((1, 2), np.float32), "right": np.full((1, 2), 5, np.float32)}
    told = tapped(model)(given)
    assert sorted([told["double"].numpy()[0, 0], told["double:2"].numpy()[0, 0]]) == [2, 10]
    np.testing.assert_allclose(told["inner"], model(given))


def test_a_model_without_a_graph_of_layers_cannot_be_looked_into() -> None:
    class Hidden(keras.Model):
        pass

    with pytest.raises(InvalidArgument, match=r"for a Sequential or functional model. Received: Hidden"):
        tapped(Hidden())


def embedding_model() -> Any:
    """Two tables of words, one inside a model of its own, and one table of places."""
    text = keras.Input((6,), dtype="int32")
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Embedding(len(WORDS), 2, name="inner")])
    places = keras.layers.Embedding(6, 3, name="places")
    outer = keras.layers.Embedding(len(WORDS), 3, name="outer")
    return keras.Model(text, [inner(text), outer(text), places(text)])


def shown(folder: Path, name: str) -> tuple[Array, Sequence[str]]:
    """The table and the labels that TensorBoard sends to its page."""
    plugin = ProjectorPlugin(TBContext(logdir=str(folder)))
    parts = [
        Client(plugin.get_plugin_apps()[route]).get(f"/?run=.&name={name}&num_rows=100").data
        for route in ("/tensor", "/metadata")
    ]
    return np.frombuffer(parts[0], np.float32), parts[1].decode().splitlines()


def test_tensorboard_shows_every_table_of_words_with_the_word_of_each_row(tmp_path: Path) -> None:
    model = embedding_model()
    write_projector(tmp_path, model, WORDS)
    (outer,) = (layer for layer in model.layers if layer.name == "outer")
    table, words = shown(tmp_path, "outer")
    np.testing.assert_allclose(table, outer.get_weights()[0].reshape(-1), rtol=1e-5)
    assert words == ["[UNK]", "film", "' '", "''", "'tab\\there'"]
    assert shown(tmp_path, "inner")[0].size == len(WORDS) * 2
    assert not (tmp_path / "places.tsv").exists()


class Words(Tiny):
    """Reads its numbers as words, too."""

    def build_model(self, config: TinyConfig, variant: str, train: Any) -> Any:
        numbers = keras.Input((4,))
        words = keras.layers.Embedding(3, 2, name="vectors")(keras.ops.cast(numbers > 0, "int32"))
        answer = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(words))
        model = keras.Model(numbers, answer)
        model.words = lookup(["down", "up"])
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def test_the_trained_words_lie_beside_the_curves(tmp_path: Path) -> None:
    model, _, _ = fit_all(recipe_of(Words(), tmp_path, TinyConfig(epochs=1)), draw(120, 1))
    table, words = shown(tmp_path / "tensorboard" / "hold-out" / "train", "vectors")
    assert words == ["[UNK]", "down", "up"]
    np.testing.assert_allclose(table, model.get_layer("vectors").get_weights()[0].reshape(-1), rtol=1e-5)
