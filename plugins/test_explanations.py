from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Data, Metric, Plugin, Signature, Task, Untrained, Variant
from plugins.explanations import Explained
from plugins.pictures import View
from plugins.test_pictures import encoded

VIEW = View(side=16, share=0.5)
RED, GREEN = 0, 1


def seer(classes: int) -> Any:
    """Tells red from green: two filters, one for each, and the logits that follow from them."""
    pixels = keras.Input((16, 16, 3))
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="edges")(layers.Rescaling(1 / 255)(pixels))
    colour = layers.Conv2D(2, 1, activation="relu", name="colour")(x)
    again = layers.ReLU(name="again")(colour)
    logits = layers.Dense(classes)(layers.GlobalAveragePooling2D()(again))
    last = layers.Softmax() if classes > 1 else layers.Activation("sigmoid")
    model = keras.Model(pixels, last(logits))
    pick = np.zeros((3, 3, 3, 3))
    pick[1, 1] = np.eye(3)
    model.get_layer("edges").set_weights([pick, np.zeros(3)])
    model.get_layer("colour").set_weights([np.array([[1, -1], [-1, 1], [0, 0]])[np.newaxis, np.newaxis], np.zeros(2)])
    model.layers[-2].set_weights(
        [np.array([[1.0, -1], [-1, 1]])[:, :classes] * (1 if classes > 1 else -1), np.zeros(classes)]
    )
    return model


class Seer(Plugin[Any]):
    name = "seer"
    title = "Red and green"
    task = Task.EXPLAIN
    metric = Metric("accuracy", higher_is_better=True)
    protocol = Untrained()
    variants = MappingProxyType({"only": Variant("the only one")})

    def load_data(self, config: Any, datasets: Any) -> Data:
        raise NotImplementedError

    def build_model(self, config: Any, variant: str, train: Any) -> Any:
        raise NotImplementedError

    def signatures(self, model: Any) -> Mapping[str, Signature]:
        return Explained(model, VIEW, ("edges", "colour", "again")).signatures()


@pytest.fixture(scope="module")
def endpoints(serve: Serve) -> Mapping[str, Endpoint]:
    return serve(Seer(), seer(classes=2))


def apart(size: int = 32) -> Image.Image:
    """In the middle square, red on the left and green on the right; outside, blue."""
    picture = Image.new("RGB", (size, size), (0, 0, 255))
    picture.paste((255, 0, 0), (size // 4, size // 4, size // 2, 3 * size // 4))
    picture.paste((0, 255, 0), (size // 2, size // 4, 3 * size // 4, 3 * size // 4))
    return picture


def rows(*values: Any, dtype: Any = np.int32) -> Array:
    return np.array(values, dtype)


def opened(content: bytes) -> Array:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture).astype(float)


def explained(endpoints: Mapping[str, Endpoint], picture: Image.Image, target: int, alpha: float = 1) -> Any:
    sent = rows(encoded(picture), dtype=object)
    answer = endpoints["explain"](image_bytes=sent, target=rows(target), alpha=rows(alpha, dtype=np.float32))
    return opened(answer["image_bytes"][0]), answer["heatmap"][0]


@pytest.mark.parametrize("logits", [1, 2])
def test_the_heat_of_a_class_is_where_the_class_is(logits: int) -> None:
    explained = Explained(seer(logits), VIEW, ("edges", "colour", "again"))
    pixels = VIEW.read(tf.constant([encoded(apart())]))
    red, green = explained.heat(tf.repeat(pixels, 2, axis=0), tf.constant([RED, GREEN])).numpy()
    assert red[:, :8].sum() > 10 * red[:, 8:].sum()
    assert green[:, 8:].sum() > 10 * green[:, :8].sum()
    for heat in (red, green):
        assert (heat.min(), heat.max()) == (0, 1)


def test_without_a_target_the_best_class_is_explained(endpoints: Mapping[str, Endpoint]) -> None:
    picture = apart()
    picture.paste((0, 255, 0), (8, 8, 24, 20))
    np.testing.assert_array_equal(explained(endpoints, picture, -1)[1], explained(endpoints, picture, GREEN)[1])


def test_the_heat_lies_on_the_part_of_the_photograph_that_was_seen(endpoints: Mapping[str, Endpoint]) -> None:
    overlay, _ = explained(endpoints, apart(200), RED)
    assert overlay.shape == (200, 200, 3)
    warm, cold = overlay[100, 70], overlay[100, 130]
    assert warm[0] > 2 * warm[2]  # red
    assert cold[0] == 0 < cold[2]  # blue
    np.testing.assert_array_equal(overlay[10, 10], cold)


def test_without_strength_the_photograph_is_as_it_was(endpoints: Mapping[str, Endpoint]) -> None:
    overlay, _ = explained(endpoints, apart(64), RED, alpha=0)
    np.testing.assert_array_equal(overlay, np.asarray(apart(64)))


def test_a_large_photograph_comes_back_smaller(endpoints: Mapping[str, Endpoint]) -> None:
    overlay, _ = explained(endpoints, Image.new("RGB", (4096, 64), (9, 9, 9)), RED)
    assert overlay.shape == (16, 1024, 3)


def test_a_picture_without_anything_has_no_heat(endpoints: Mapping[str, Endpoint]) -> None:
    assert not explained(endpoints, Image.new("RGB", (8, 8)), RED)[1].any()


def test_a_grid_shows_what_each_filter_makes_of_the_photograph(endpoints: Mapping[str, Endpoint]) -> None:
    (content,) = endpoints["activations"](image_bytes=rows(encoded(apart()), dtype=object), layer=rows(1))[
        "image_bytes"
    ]
    grid = opened(content)
    assert grid.shape == (32, 16 * 32, 3)
    red, green = grid[:, :32].mean(axis=2), grid[:, 32:64].mean(axis=2)
    assert red[16, 8] > red[16, 24]
    assert green[16, 8] < green[16, 24]
    assert not grid[:, 64:].std(axis=(0, 1)).any()  # there are only two


def test_a_pattern_is_what_its_filter_looks_for(endpoints: Mapping[str, Endpoint]) -> None:
    asked = {"layer": rows(1, 1), "filter": rows(RED, GREEN), "steps": rows(30, 30), "seed": rows(0, 0)}
    red, green = map(opened, endpoints["filters"](**asked)["image_bytes"])
    assert red.shape == (16, 16, 3)
    assert red[..., 0].mean() > red[..., 1].mean() + 20
    assert green[..., 1].mean() > green[..., 0].mean() + 20


def test_a_pattern_comes_of_its_own_seed_and_layer_whatever_else_is_asked(endpoints: Mapping[str, Endpoint]) -> None:
    asked = {"layer": rows(0, 1, 1), "filter": rows(5, 0, 0), "steps": rows(3, 9, 9), "seed": rows(1, 2, 3)}
    together = endpoints["filters"](**asked)["image_bytes"]
    alone = [
        endpoints["filters"](**{name: rows(each[n]) for name, each in asked.items()})["image_bytes"][0]
        for n in range(3)
    ]
    assert list(together) == alone
    assert len(set(alone)) == 3
