from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from plugins.boston_housing.data import FEATURES, load, read_csv
from plugins.boston_housing.model import PricesConfig, build
from plugins.boston_housing.plugin import EXAMPLE, PLUGIN
from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, IteratedKFold, Samples

NAMES = [feature.name for feature in FEATURES]


@pytest.fixture(scope="module")
def suburbs() -> Array:
    return np.random.default_rng(0).normal(100, 30, (40, 13)).astype(np.float32)


@pytest.fixture(scope="module")
def model(suburbs: Array) -> Any:
    keras.utils.set_random_seed(1)
    return build(PricesConfig(), suburbs)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


def test_the_network_is_the_books(model: Any) -> None:
    assert sum(int(np.prod(weights.shape)) for weights in model.trainable_weights) == 5121


def test_features_are_scaled_by_the_training_part_it_was_given(model: Any, suburbs: Array) -> None:
    scaled = np.asarray(model.get_layer("scaling")(suburbs))
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-4)


def test_named_features_and_a_row_get_the_same_price(
    endpoints: Mapping[str, Endpoint], model: Any, suburbs: Array
) -> None:
    named = endpoints["regress"](**{name: suburbs[:, number] for number, name in enumerate(NAMES)})["values"]
    row = endpoints["serving_default"](features=suburbs)["values"]
    np.testing.assert_array_equal(named, row)
    np.testing.assert_allclose(row, model.predict(suburbs, verbose=0), rtol=1e-5)


def test_each_feature_has_its_own_place(endpoints: Mapping[str, Endpoint]) -> None:
    for number, name in enumerate(NAMES):
        changed = np.array([EXAMPLE], np.float32)
        changed[0, number] += 50
        named = {name: np.array([value], np.float32) for name, value in zip(NAMES, EXAMPLE, strict=True)}
        named[name] = changed[:, number]
        price = endpoints["regress"](**named)["values"]
        np.testing.assert_array_equal(price, endpoints["serving_default"](features=changed)["values"])


def test_requests_name_the_features_in_order() -> None:
    (request,) = PLUGIN.requests(Samples(np.array([EXAMPLE], np.float32), np.zeros(1)))
    assert list(request) == NAMES
    np.testing.assert_allclose(list(request.values()), EXAMPLE, rtol=1e-6)


def test_the_packages_table_is_read_without_its_header(tmp_path: Path) -> None:
    file = tmp_path / "boston" / "resources" / "boston_house_prices.csv"
    file.parent.mkdir(parents=True)
    file.write_text('"CRIM","ZN","MEDV"\n0.5,18,24\n0.25,0,21.6\n')
    arrays = read_csv(tmp_path)
    assert arrays["x"].tolist() == [[0.5, 18.0], [0.25, 0.0]]
    assert arrays["y"].tolist() == [24.0, 21.6]


@pytest.fixture(scope="module")
def real(mirror: Folder) -> Data:
    return load(mirror)


def test_the_split_is_that_of_keras(real: Data) -> None:
    assert (len(real.train), len(real.test)) == (404, 102)
    # The first suburb and price of each part, as keras.datasets.boston_housing.load_data() gives them.
    assert real.train.inputs[0, 0] == pytest.approx(1.23247)
    assert real.test.inputs[0, 0] == pytest.approx(18.0846)
    assert (real.train.targets[0], real.test.targets[0]) == (pytest.approx(15.2), pytest.approx(7.2))


def test_the_baseline_is_the_median_price(real: Data) -> None:
    error = np.abs(real.test.targets - np.median(real.train.targets)).mean()
    assert PLUGIN.baseline(real) == {"mae": pytest.approx(float(error))}


def test_the_iterated_variant_is_the_same_network_validated_twelve_times(suburbs: Array) -> None:
    samples = Samples(suburbs, np.zeros(40, np.float32))
    one, other = (PLUGIN.build_model(PricesConfig(), variant, samples) for variant in ("dense", "iterated"))
    assert [layer.output.shape for layer in one.layers] == [layer.output.shape for layer in other.layers]
    assert PLUGIN.variants["dense"].settings == PLUGIN.variants["iterated"].settings
    assert PLUGIN.variants["iterated"].protocol == IteratedKFold(folds=4, repeats=3)
