"""What every built-in plugin promises by being one, on a few rows of its own data."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from plugins.contract import (
    Array,
    Config,
    Data,
    EvaluationProtocol,
    HoldOut,
    IteratedKFold,
    KFold,
    Plugin,
    Samples,
    Signature,
    Task,
    Unavailable,
    Untrained,
)
from services.core.card import WARMUP_PATH, SignatureCard
from services.core.refs import check_model_name
from services.store import open_store
from services.trainer.configuration import resolve_config
from services.trainer.datasets import DatasetFetcher
from services.trainer.discovery import load_entry_point, plugin_names
from services.trainer.export import signature_cards
from services.trainer.heads import head_fields, heads_of
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.reporting import one_input
from services.trainer.run_record import RunState

ROOT = Path(__file__).parent.parent.parent
TRAIN, TEST = 160, 64  # rows
LARGE = 50_000  # numbers in a row, such as a photograph's: each takes a large network 0.1 s,
FEWER = 8  # so there are so many times fewer
PARTS = 5  # batches an epoch; and the part of the training rows that is validated on
FEW_STEPS = 12
SEED = 1
IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8")
FIRST_OUTPUT = {Task.CLASSIFY: "scores", Task.REGRESS: "values", Task.GENERATE_TEXT: "text"}

BUILT_IN = {name: point for name, point in plugin_names().items() if point.value.startswith("plugins.")}
VARIANTS = [(name, variant) for name, point in BUILT_IN.items() for variant in load_entry_point(point).variants]
EVERY_PLUGIN = pytest.mark.parametrize("name", BUILT_IN)
EVERY_VARIANT = pytest.mark.parametrize(("name", "variant"), VARIANTS)


def plugin_of(name: str) -> Plugin[Any]:
    """A built-in plugin."""
    return load_entry_point(BUILT_IN[name])


@dataclass(frozen=True)
class Trained:
    """One variant, built and trained for a few steps on a few rows."""

    plugin: Plugin[Any]
    config: Config
    data: Data
    first_weights: Sequence[Array]  # before training, of the seed SEED
    model: Any
    signatures: Mapping[str, Signature]


@pytest.fixture(scope="module")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Data]:
    """A few rows of a variant's data (of the first, if none is named); skips where no source is within reach."""
    datasets = DatasetFetcher(
        tmp_path_factory.mktemp("datasets"), os.environ.get("TENSORGATE_DATASETS", ""), lambda _: None
    )

    @cache
    def load(name: str, own_settings: str) -> Data:
        plugin = plugin_of(name)
        try:
            return few_rows(plugin.load_data(plugin.config.model_validate_json(own_settings), datasets))
        except Unavailable as absent:
            pytest.skip(f"no source of the data of {name} is within reach: {absent.message}")

    def load_once(name: str, variant: str | None = None) -> Data:
        # Variants that differ in epochs and the like only share their data.
        return load(name, resolve_config(plugin_of(name), variant).model_dump_json(exclude=set(Config.model_fields)))

    return load_once


@pytest.fixture(scope="module")
def trained(data_of: Callable[..., Data]) -> Callable[[str, str], Trained]:
    """A variant that took one short epoch."""

    @cache
    def build(name: str, variant: str) -> Trained:
        plugin, data = plugin_of(name), data_of(name, variant)
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


def protocol_of(plugin: Plugin[Any], variant: str) -> EvaluationProtocol:
    return plugin.variants[variant].protocol or plugin.protocol


def few_rows(data: Data) -> Data:
    """As many as there may be, or are: an untrained plugin has none to learn from."""
    fewer = FEWER if sum(map(np.size, tf.nest.flatten(one_input(data.test, 0)))) > LARGE else 1

    def few(samples: Samples, rows: int) -> Samples:
        return samples.take(np.arange(min(len(samples), rows // fewer)))

    return Data(few(data.train, TRAIN), few(data.test, TEST))


def example_of(signature: Signature) -> Mapping[str, Any]:
    """The signature's example, with few steps where it has steps: each costs time."""
    steps = signature.example.get("steps")
    return {**signature.example, "steps": min(steps, FEW_STEPS)} if steps is not None else signature.example


def tensors(signature: Signature, *instances: Mapping[str, Any]) -> list[Any]:
    """Instances as the gateway batches them: one tensor a field, a row an instance, defaults filled in."""
    columns = []
    for field in signature.inputs:
        values = [instance.get(field.name, field.default) for instance in instances]
        if field.dtype == "string":
            columns.append(tf.constant([value.encode() if isinstance(value, str) else value for value in values]))
        else:
            columns.append(tf.constant(np.asarray(values, field.dtype)))
    return columns


TRACED: dict[int, Any] = {}  # by id of a signature's function; the signatures live as long as their fixture


def ask(signature: Signature, *instances: Mapping[str, Any]) -> Mapping[str, Array]:
    """The graph's answer, as it is traced for export."""
    if id(signature.function) not in TRACED:
        specs = [tf.TensorSpec((None, *field.shape), field.dtype, name=field.name) for field in signature.inputs]
        TRACED[id(signature.function)] = tf.function(signature.function, input_signature=specs, autograph=False)
    answer = TRACED[id(signature.function)](*tensors(signature, *instances))
    return {name: value.numpy() for name, value in answer.items()}


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


# --- endpoints -----------------------------------------------------------------------------------------------------


@EVERY_VARIANT
def test_the_card_can_be_read_by_a_client(name: str, variant: str, trained: Callable[[str, str], Trained]) -> None:
    one = trained(name, variant)
    cards = signature_cards(one.signatures)
    assert next(iter(cards.values())).task is one.plugin.task
    for card in cards.values():
        assert SignatureCard.model_validate_json(card.model_dump_json()) == card
        json.dumps(dict(card.example))
        assert card.description
        if card.task in FIRST_OUTPUT and card.task is one.plugin.task:
            first = card.outputs[0]
            assert len(head_fields(one.signatures)) > 1 or first.name == first.content == FIRST_OUTPUT[card.task]
        assert all(len(field.labels) == field.shape[0] for field in card.outputs if field.content == "scores")
    if one.plugin.task is Task.GENERATE_TEXT:
        assert list(cards) == ["start", "continue"]


@EVERY_VARIANT
def test_an_answer_has_the_fields_it_promises(name: str, variant: str, trained: Callable[[str, str], Trained]) -> None:
    for signature in trained(name, variant).signatures.values():
        answer = ask(signature, example_of(signature))
        assert set(answer) == {field.name for field in signature.outputs}
        for field in signature.outputs:
            value = answer[field.name]
            assert (value.dtype == object) == (field.dtype == "string")
            assert value.ndim == 1 + len(field.shape)
            assert all(size in (None, actual) for size, actual in zip(field.shape, value.shape[1:], strict=True))
            if field.content == "image":
                assert all(picture.startswith(IMAGE_STARTS) for picture in value.ravel())


@EVERY_VARIANT
def test_rows_of_one_call_do_not_influence_each_other(
    name: str, variant: str, trained: Callable[[str, str], Trained]
) -> None:
    one = trained(name, variant)
    for signature in one.signatures.values():
        others = [example_of(signature), changed(one, signature), example_of(signature)]
        together = ask(signature, *others)
        for row, instance in enumerate(others):
            alone = ask(signature, instance)
            for field in signature.outputs:
                assert_same(together[field.name][row], alone[field.name][0])


def changed(one: Trained, signature: Signature) -> Mapping[str, Any]:
    """Another instance: a raw test sample where the signature takes those, else the example with other numbers."""
    request = next(one.plugin.requests(one.data.test), {})
    if set(request) == {field.name for field in signature.inputs}:
        return request
    knobs = {field.name: 3 for field in signature.inputs if field.name in ("seed", "steps")}
    return {**example_of(signature), **knobs}


def assert_same(together: Array, alone: Array) -> None:
    """Equal; where a row has as many values as it asks for, the longest row's length is filled up with empty ones."""
    together, alone = np.asarray(together), np.asarray(alone)
    if together.ndim and len(together) > len(alone):
        assert not any(together[len(alone) :])
        together = together[: len(alone)]
    if alone.dtype.kind == "f":
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(together, alone)


@EVERY_VARIANT
def test_a_raw_request_gets_the_answer_the_model_gives_in_training(
    name: str, variant: str, trained: Callable[[str, str], Trained]
) -> None:
    one = trained(name, variant)
    requests = list(one.plugin.requests(one.data.test))
    if one.plugin.task not in (Task.CLASSIFY, Task.REGRESS):
        assert not requests
        return
    assert len(requests) == len(one.data.test)
    served = ask(next(iter(one.signatures.values())), *requests)
    fields = head_fields(one.signatures)
    heads = heads_of(fields, one.model, one.data.test)
    assert [head.field for head in heads] == list(fields.values())
    for head in heads:
        np.testing.assert_allclose(served[head.field.name], head.predictions, rtol=1e-3, atol=1e-4)


@EVERY_VARIANT
def test_the_figures_of_the_report_are_pictures(
    name: str, variant: str, trained: Callable[[str, str], Trained]
) -> None:
    one = trained(name, variant)
    for figure in one.plugin.figures(one.model, one.data, one.config):
        assert figure.png.startswith(IMAGE_STARTS)
        assert figure.name and figure.caption


# --- the whole road ------------------------------------------------------------------------------------------------


def shortened(plugin: Plugin[Any], data: Data) -> Plugin[Any]:
    """The plugin with a few rows of data and few fits."""

    class Short(type(plugin)):  # type: ignore[misc]  # the class is known at run time only
        """The same plugin."""

        def load_data(self, config: Any, datasets: Any) -> Data:
            return data

    short: Plugin[Any] = Short()
    vars(short).update(vars(plugin))  # labels that came with the data
    short.protocol = few_fits(plugin.protocol, len(data.train) // PARTS)  # type: ignore[misc]  # of this instance only
    return short


def few_fits(protocol: EvaluationProtocol, validation: int) -> EvaluationProtocol:
    """The same protocol with as little to train as it allows: each fit is traced anew."""
    match protocol:
        case HoldOut():
            return replace(protocol, validation=validation, gap=0)
        case IteratedKFold():
            return replace(protocol, folds=2, repeats=1)
        case KFold():
            return replace(protocol, folds=2)
        case Untrained():
            return protocol


@EVERY_PLUGIN
def test_the_whole_road_from_data_to_a_labelled_version(
    name: str, data_of: Callable[..., Data], tmp_path: Path
) -> None:
    plugin = shortened(plugin_of(name), data_of(name))
    store = open_store(str(tmp_path / "store"))
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    bench = Bench(plugin, DatasetFetcher(tmp_path, "", progress.step), store, tmp_path / "runs", progress)
    record = train(TrainRequest(name, overrides=("epochs=1",), force=True), bench)
    assert record.state is RunState.PUBLISHED
    assert store.labels(name) == {"stable": 1}
    card = store.card(name, 1)
    assert card.metrics[plugin.metric.name] == record.metrics[plugin.metric.name]
    assert card.lineage.run == record.id
    assert str(WARMUP_PATH) in {entry.path for entry in store.manifest(name, 1).files}
    assert (tmp_path / "runs" / record.id / "report.html").is_file()


def test_samples_are_taken_row_by_row() -> None:
    samples = Samples(np.arange(6).reshape(3, 2), np.arange(3)).take(np.array([2, 0]))
    assert samples.inputs.tolist() == [[4, 5], [0, 1]]
    assert samples.targets.tolist() == [2, 0]
