"""What every built-in plugin promises by being one: names, data, first and last variants that learn and answer.

One file, so that one process trains each variant once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from plugins.contract import (
    Array,
    Data,
    Samples,
    Signature,
    Task,
    Untrained,
)
from services.core.card import WARMUP_PATH, SignatureCard
from services.core.refs import check_model_name
from services.trainer.configuration import resolve_config
from services.trainer.heads import head_fields, heads_of
from services.trainer.release.check import same_picture
from services.trainer.release.export import signature_cards
from services.trainer.report.reporting import one_input
from services.trainer.run_record import RunState
from tests.plugins.few_rows import (
    BUILT_IN,
    EVERY_PLUGIN,
    EVERY_VARIANT,
    FIRST_AND_LAST,
    IMAGE_STARTS,
    ROADS,
    TAUGHT,
    Trained,
    plugin_of,
    protocol_of,
)
from tests.plugins.road import Walked

ROOT = Path(__file__).parent.parent.parent
FEW_STEPS = 12
FIRST_OUTPUT = {Task.CLASSIFY: "scores", Task.REGRESS: "values", Task.GENERATE_TEXT: "text"}


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


# --- the road ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROADS)
def test_the_whole_road_from_data_to_a_labelled_version(name: str, walked: Callable[[str], Walked]) -> None:
    end, metric = walked(name), plugin_of(name).metric.name
    assert end.record.state is RunState.PUBLISHED
    assert end.store.labels(name) == {"stable": 1}
    card = end.store.card(name, 1)
    assert card.metrics[metric] == end.record.metrics[metric]
    assert card.lineage.run == end.record.id
    assert str(WARMUP_PATH) in {entry.path for entry in end.store.manifest(name, 1).files}
    assert (end.runs / end.record.id / "report.html").is_file()


# --- models --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAUGHT)
def test_the_same_seed_builds_the_same_model(name: str, trained: Callable[[str, str], Trained]) -> None:
    variant = next(iter(plugin_of(name).variants))
    one = trained(name, variant)
    tf.keras.utils.set_random_seed(one.seed)
    again = one.plugin.build_model(one.config, variant, one.data.train).get_weights()
    for first, second in zip(one.first_weights, again, strict=True):
        np.testing.assert_array_equal(first, second)


@FIRST_AND_LAST
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


@FIRST_AND_LAST
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


# --- endpoints, traced as they are exported ------------------------------------------------------------------------


def asked(one: Trained) -> Iterator[Signature]:
    """The signatures to ask: all but pictures that explain, which are slow and the same code for all plugins."""
    for signature in one.signatures.values():
        if signature.task is not Task.EXPLAIN or all(field.content != "image" for field in signature.outputs):
            yield signature


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


@FIRST_AND_LAST
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


@FIRST_AND_LAST
def test_an_answer_has_the_fields_it_promises(name: str, variant: str, trained: Callable[[str, str], Trained]) -> None:
    for signature in asked(trained(name, variant)):
        answer = ask(signature, example_of(signature))
        assert set(answer) == {field.name for field in signature.outputs}
        for field in signature.outputs:
            value = answer[field.name]
            assert (value.dtype == object) == (field.dtype == "string")
            assert value.ndim == 1 + len(field.shape)
            assert all(size in (None, actual) for size, actual in zip(field.shape, value.shape[1:], strict=True))
            if field.content == "image":
                assert all(picture.startswith(IMAGE_STARTS) for picture in value.ravel())


@FIRST_AND_LAST
def test_rows_of_one_call_do_not_influence_each_other(
    name: str, variant: str, trained: Callable[[str, str], Trained]
) -> None:
    one = trained(name, variant)
    for signature in asked(one):
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
    pictures = list(zip(together.ravel().tolist(), alone.ravel().tolist(), strict=True))
    if pictures and all(isinstance(one, bytes) and one.startswith(IMAGE_STARTS) for _, one in pictures):
        assert all(same_picture(*pair) for pair in pictures)  # a sum is rounded otherwise in another company
    elif alone.dtype.kind == "f":
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(together, alone)


@FIRST_AND_LAST
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


@FIRST_AND_LAST
def test_the_figures_of_the_report_are_pictures(
    name: str, variant: str, trained: Callable[[str, str], Trained]
) -> None:
    one = trained(name, variant)
    for figure in one.plugin.figures(one.model, one.data, one.config):
        assert figure.png.startswith(IMAGE_STARTS)
        assert figure.name and figure.caption
