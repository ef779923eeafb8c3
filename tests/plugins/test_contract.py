"""What every built-in plugin promises by being one: its names, its data, and that every variant learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from plugins.contract import (
    Data,
    Samples,
    Untrained,
)
from services.core.refs import check_model_name
from services.trainer.configuration import resolve_config
from services.trainer.reporting import one_input
from tests.plugins.few_rows import (
    BUILT_IN,
    EVERY_PLUGIN,
    EVERY_VARIANT,
    IMAGE_STARTS,
    SEED,
    Trained,
    plugin_of,
    protocol_of,
)

ROOT = Path(__file__).parent.parent.parent


# --- what a plugin says of itself ----------------------------------------------------------------------------------


@EVERY_PLUGIN
def test_a_plugin_is_called_what_its_entry_point_and_its_folder_are_called(name: str) -> None:
    plugin = plugin_of(name)
    assert plugin.name == name == check_model_name(name)
    assert BUILT_IN[name].value == f"plugins.{name}.plugin:PLUGIN"
    assert plugin.title and plugin.title[0].isupper()


@EVERY_PLUGIN
def test_a_plugins_page_tells_its_variants_apart(name: str) -> None:
    page = (ROOT / "plugins" / name / "README.md").read_text()
    variants = plugin_of(name).variants
    assert f"tensorgate train {name}" in page
    assert len(variants) == 1 or all(variant in page for variant in variants)


@EVERY_VARIANT
def test_a_variants_settings_are_a_valid_config(name: str, variant: str) -> None:
    plugin = plugin_of(name)
    config = resolve_config(plugin, variant, ["seed=3"])
    assert isinstance(config, plugin.config)
    assert config.seed == 3
    assert plugin.variants[variant].summary


@EVERY_PLUGIN
def test_a_books_figure_is_of_the_plugins_metric(name: str) -> None:
    plugin = plugin_of(name)
    books = [variant.book for variant in plugin.variants.values() if variant.book]
    assert all(book.metric == plugin.metric.name and book.section for book in books)


# --- data ----------------------------------------------------------------------------------------------------------


@EVERY_PLUGIN
def test_every_sample_has_a_target(name: str, data_of: Callable[..., Data]) -> None:
    data = data_of(name)
    for samples in (data.train, data.test):
        for column in tf.nest.flatten((samples.inputs, samples.targets)):
            assert len(column) == len(samples)
    assert len(data.test)


@EVERY_PLUGIN
def test_the_baseline_is_a_number_for_the_plugins_metric(name: str, data_of: Callable[..., Data]) -> None:
    plugin = plugin_of(name)
    assert np.isfinite(plugin.baseline(data_of(name))[plugin.metric.name])


@EVERY_PLUGIN
def test_a_sample_can_be_shown(name: str, data_of: Callable[..., Data]) -> None:
    shown = plugin_of(name).show(one_input(data_of(name).test, 0))
    assert shown.startswith(IMAGE_STARTS) if isinstance(shown, bytes) else shown


# --- models --------------------------------------------------------------------------------------------------------


@EVERY_VARIANT
def test_the_same_seed_builds_the_same_model(name: str, variant: str, trained: Callable[[str, str], Trained]) -> None:
    one = trained(name, variant)
    tf.keras.utils.set_random_seed(SEED)
    again = one.plugin.build_model(one.config, variant, one.data.train).get_weights()
    for first, second in zip(one.first_weights, again, strict=True):
        np.testing.assert_array_equal(first, second)


@EVERY_VARIANT
def test_training_changes_every_trainable_weight(
    name: str, variant: str, trained: Callable[[str, str], Trained]
) -> None:
    one = trained(name, variant)
    trainable = {id(variable) for variable in one.model.trainable_variables}
    still = [
        variable.path
        for before, variable in zip(one.first_weights, one.model.weights, strict=True)
        if id(variable) in trainable and np.array_equal(before, variable.numpy())
    ]
    if isinstance(protocol_of(one.plugin, variant), Untrained):
        assert len(still) == len(trainable)
    else:
        assert trainable and not still


@EVERY_VARIANT
def test_evaluation_gives_the_metric_the_plugin_is_judged_by(
    name: str, variant: str, trained: Callable[[str, str], Trained]
) -> None:
    one = trained(name, variant)
    figures = one.plugin.evaluate(one.model, one.data.test, one.config)
    assert np.isfinite(figures[one.plugin.metric.name])


def test_samples_are_taken_row_by_row() -> None:
    samples = Samples(np.arange(6).reshape(3, 2), np.arange(3)).take(np.array([2, 0]))
    assert samples.inputs.tolist() == [[4, 5], [0, 1]]
    assert samples.targets.tolist() == [2, 0]
