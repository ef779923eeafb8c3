"""What the tests of all plugins share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import pytest
import tensorflow as tf

from plugins.contract import (
    Config,
    Data,
    Unavailable,
    Untrained,
)
from services.trainer.configuration import resolve_config
from services.trainer.sources.datasets import DatasetFetcher
from tests.plugins.few_rows import (
    PARTS,
    ROADS,
    SEED,
    Trained,
    few_rows,
    plugin_of,
    protocol_of,
)
from tests.plugins.road import Walked, walk


@pytest.fixture(scope="session")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Data]:
    """A few rows of a variant's data (of the first, if none is named); skips where no source is within reach."""
    datasets = DatasetFetcher(
        tmp_path_factory.mktemp("datasets"), os.environ.get("TENSORGATE_DATASETS", ""), lambda _: None
    )

    @cache
    def load(name: str, own_settings: str) -> Data:
        plugin = plugin_of(name)
        try:
            return few_rows(name, plugin.load_data(plugin.config.model_validate_json(own_settings), datasets))
        except Unavailable as absent:
            pytest.skip(f"no source of the data of {name} is within reach: {absent.message}")

    def load_once(name: str, variant: str | None = None) -> Data:
        # Variants that differ in epochs and the like only share their data.
        return load(name, resolve_config(plugin_of(name), variant).model_dump_json(exclude=set(Config.model_fields)))

    return load_once


@pytest.fixture(scope="session")
def walked(data_of: Callable[..., Data], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Walked]:
    """A plugin's first variant, trained and published."""

    @cache
    def publish(name: str) -> Walked:
        return walk(plugin_of(name), data_of(name), tmp_path_factory.mktemp(name))

    return publish


@pytest.fixture(scope="session")
def trained(data_of: Callable[..., Data], walked: Callable[[str], Walked]) -> Callable[[str, str], Trained]:
    """A variant that took one short epoch."""

    @cache
    def build(name: str, variant: str) -> Trained:
        plugin, data = plugin_of(name), data_of(name, variant)
        if name in ROADS and variant == next(iter(plugin.variants)):
            return walked(name).trained
        config = resolve_config(plugin, variant)
        tf.keras.utils.set_random_seed(SEED)
        try:
            model = plugin.build_model(config, variant, data.train)
        except Unavailable as absent:
            pytest.skip(f"no source of the weights of {name} is within reach: {absent.message}")
        first_weights = model.get_weights()
        if not isinstance(protocol_of(plugin, variant), Untrained):
            model.fit(data.train.in_order(len(data.train) // PARTS), epochs=1, shuffle=False, verbose=0)
        return Trained(plugin, config, data, first_weights, model, plugin.signatures(model))

    return build
