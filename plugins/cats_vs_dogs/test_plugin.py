from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from plugins.cats_vs_dogs.augmentation import augmented_copies
from plugins.cats_vs_dogs.data import PHOTOGRAPHS, VALIDATION
from plugins.cats_vs_dogs.model import CatsConfig, Thaw, build
from plugins.cats_vs_dogs.plugin import PLUGIN
from plugins.conftest import Endpoint, Serve
from plugins.contract import Array, Data, Dataset, Samples
from plugins.pictures import EXAMPLE


class Folder:
    """Datasets from a folder, unverified."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        return dataset.read(self.folder / dataset.file)


@pytest.fixture(scope="module")
def data() -> Data:
    folder = Path(os.environ.get("TENSORGATE_DATASETS", ""))
    if not (folder / PHOTOGRAPHS.file).is_file():
        pytest.skip(f"TENSORGATE_DATASETS names no folder with {PHOTOGRAPHS.file}")
    return PLUGIN.load_data(CatsConfig(), Folder(folder))


@pytest.fixture(scope="module")
def endpoints(serve: Serve) -> Mapping[str, Endpoint]:
    keras.utils.set_random_seed(1)
    return serve(PLUGIN, build(CatsConfig(), "from_scratch", Samples(np.zeros(1), np.zeros(1))), "classify")


def trainable(model: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("variant", "parameters", "trained"),
    [
        ("vgg16_features", 16_812_353, 2_097_665),
        ("from_scratch", 3_453_121, 3_453_121),
        ("augmented", 1_290_433, 1_290_433),
        ("vgg16_augmented", 16_812_353, 2_097_665),
        ("vgg16_fine_tuned", 16_812_353 + 1, 9_177_089),  # it counts its batches
    ],
)
def test_the_networks_are_the_books(data: Data, variant: str, parameters: int, trained: int) -> None:
    model = build(CatsConfig(), variant, data.train)
    assert model.count_params() == parameters
    assert trainable(model) == trained


def test_the_split_is_the_books(data: Data) -> None:
    assert (len(data.train), len(data.test)) == (3000, 1000)
    assert data.train.targets[-VALIDATION:].mean() == data.test.targets.mean() == 0.5
    assert PLUGIN.baseline(data) == {"accuracy": 0.5}


def test_copies_of_a_picture_stand_together_before_what_is_validated_on(data: Data) -> None:
    plain = data.train.inputs[:3]
    copies = augmented_copies(plain, 2, seed=1)
    assert copies.shape == (6, 150, 150, 3)
    for number, picture in enumerate(plain):
        one, other = copies[2 * number].astype(int), copies[2 * number + 1].astype(int)
        np.testing.assert_array_equal(one, picture)
        assert np.abs(one - other).mean() > 5
        # The same picture still: its colours are about as frequent.
        assert np.abs(np.sort(one.ravel()) - np.sort(other.ravel())).mean() < 25
    np.testing.assert_array_equal(copies, augmented_copies(plain, 2, seed=1))


def test_what_lies_before_thaws_after_so_many_batches() -> None:
    inputs = keras.Input((1,))
    before, behind = keras.layers.Dense(1, name="before"), keras.layers.Dense(1, name="behind")
    model = keras.Model(inputs, behind(Thaw(2)(before(inputs))))
    model.compile(keras.optimizers.RMSprop(0.1), "mse")
    moved = []
    for _ in range(4):
        was = [layer.get_weights()[0].item() for layer in (before, behind)]
        model.train_on_batch(np.ones((4, 1)), np.full((4, 1), 9.0))
        moved.append([layer.get_weights()[0].item() != old for layer, old in zip((before, behind), was, strict=True)])
        model.predict(np.ones((1, 1)), verbose=0)  # what is only asked does not count
    assert moved == [[False, True], [False, True], [True, True], [True, True]]


def test_the_frozen_part_gives_the_rest_what_it_needs(data: Data) -> None:
    few = data.train.take(np.arange(2))
    for variant, shape in (("vgg16_features", (2, 4, 4, 512)), ("vgg16_fine_tuned", (2, 9, 9, 512))):
        model = build(CatsConfig(), variant, few)
        frozen: Any = PLUGIN.frozen(model)
        features = frozen.predict(few.inputs, verbose=0)
        assert features.shape == shape
        assert not frozen.trainable_weights
        rest = keras.Model(frozen.output, model.output)
        assert trainable(rest) == trainable(model)
        np.testing.assert_allclose(rest.predict(features, verbose=0), model.predict(few.inputs, verbose=0), rtol=1e-4)
    assert PLUGIN.frozen(build(CatsConfig(), "from_scratch", few)) is None


def test_a_photograph_gets_a_chance_for_cat_and_one_for_dog(endpoints: Mapping[str, Endpoint]) -> None:
    (scores,) = endpoints["classify"](image_bytes=np.array([EXAMPLE], object))["scores"]
    assert scores.shape == (2,)
    assert scores.sum() == pytest.approx(1, abs=1e-6)


def test_a_jpeg_of_the_test_split_is_read_as_it_is_in_training(data: Data, endpoints: Mapping[str, Endpoint]) -> None:
    few = data.test.take(np.arange(3))
    keras.utils.set_random_seed(1)
    model = build(CatsConfig(), "from_scratch", few)
    sent = [request["image_bytes"] for request in PLUGIN.requests(few)]
    served = endpoints["classify"](image_bytes=np.array(sent, object))["scores"][:, 1:]
    np.testing.assert_allclose(served, model.predict(few.in_order(3), verbose=0), rtol=1e-4)
