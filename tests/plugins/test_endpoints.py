"""What the endpoints of every built-in plugin answer, traced as they are exported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from plugins.contract import (
    Array,
    Signature,
    Task,
)
from services.core.card import SignatureCard
from services.trainer.check import same_picture
from services.trainer.export import signature_cards
from services.trainer.heads import head_fields, heads_of
from tests.plugins.few_rows import (
    FIRST_AND_LAST,
    IMAGE_STARTS,
    Trained,
)

FEW_STEPS = 12
FIRST_OUTPUT = {Task.CLASSIFY: "scores", Task.REGRESS: "values", Task.GENERATE_TEXT: "text"}


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


@FIRST_AND_LAST
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
