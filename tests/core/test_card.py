"""What an endpoint does, as the trainer writes it and everyone else reads it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.core.card import BookFigure, Card, Expected, InputField, Lineage, OutputField, SignatureCard, Task

TEXTS = st.text(max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SHAPES = st.lists(st.none() | st.integers(0, 9), max_size=3).map(tuple)
METRICS = st.dictionaries(TEXTS, NUMBERS, max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
INPUTS = st.builds(InputField, name=TEXTS, dtype=TEXTS, shape=SHAPES, default=JSON, minimum=st.none() | NUMBERS)
LABELS = st.lists(TEXTS, max_size=2, unique=True).map(tuple)
OUTPUTS = st.builds(OutputField, name=TEXTS, dtype=TEXTS, shape=SHAPES, labels=LABELS, independent=st.booleans())
SIGNATURES = st.builds(
    SignatureCard,
    task=st.sampled_from(Task),
    inputs=st.lists(INPUTS, max_size=2).map(tuple),
    outputs=st.lists(OUTPUTS, max_size=2).map(tuple),
    example=st.dictionaries(TEXTS, JSON, max_size=2),
)
SHARES = st.dictionaries(TEXTS, NUMBERS, min_size=2, max_size=2)
EXPECTED = st.builds(Expected, columns=st.just(2), shares=SHARES) | st.builds(
    Expected, columns=st.integers(1, 9), edges=NUMBERS.map(lambda edge: (edge,)), shares=SHARES
)
LINEAGES = st.builds(
    Lineage,
    plugin=TEXTS,
    variant=TEXTS,
    run=TEXTS,
    seed=st.integers(),
    config=st.dictionaries(TEXTS, JSON, max_size=2),
    created=st.datetimes(timezones=st.just(UTC)),
)
CARDS = st.builds(
    Card,
    model=TEXTS,
    task=st.sampled_from(Task),
    title=TEXTS,
    description=TEXTS,
    signatures=st.dictionaries(TEXTS, SIGNATURES, max_size=2),
    metrics=METRICS,
    baseline=METRICS,
    book=st.none() | st.builds(BookFigure, metric=TEXTS, value=NUMBERS, section=TEXTS),
    expected=st.dictionaries(TEXTS, EXPECTED, max_size=2),
    lineage=LINEAGES,
)


def facts() -> dict[str, Any]:
    """A card as small as can be."""
    return {
        "model": "m",
        "task": "classify",
        "title": "M",
        "description": "",
        "signatures": {},
        "metrics": {"accuracy": 0.9},
        "baseline": {},
        "lineage": Lineage(
            plugin="m", variant="v", run="r", seed=7, config={}, created=datetime(2026, 1, 1, tzinfo=UTC)
        ),
    }


@given(CARDS)
def test_what_is_written_is_read_back(card: Card) -> None:
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_a_field_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="acuracy"):
        Card.model_validate({**facts(), "acuracy": 1.0})


def test_two_labels_of_one_name_are_refused_because_answers_tell_scores_by_label() -> None:
    with pytest.raises(ValidationError, match="Received: crane more than once"):
        OutputField(name="scores", dtype="float32", labels=("crane", "heron", "crane"))


@pytest.mark.parametrize("edges", [(), (1.0, 2.0)])
def test_shares_for_other_bins_than_there_are_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match=r"one share for each of 3 bins\. Received: 2"):
        Expected(columns=3, edges=edges, shares={"a": 0.5, "b": 0.5})


def test_a_card_from_before_there_were_shares_is_read() -> None:
    assert Card.model_validate(facts()).expected == {}


def test_a_task_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="'classify', 'regress'"):
        Card.model_validate({**facts(), "task": "guess"})


def test_a_card_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Card.model_validate(facts()).title = "other"


def test_signatures_of_a_task_come_in_the_order_they_were_written() -> None:
    def signature(task: Task) -> SignatureCard:
        return SignatureCard(task=task, inputs=(), outputs=(), example={})

    signatures = {
        "z": signature(Task.CLASSIFY),
        "encode": signature(Task.REGRESS),
        "a": signature(Task.CLASSIFY),
    }
    card = Card.model_validate({**facts(), "signatures": signatures})
    again = Card.model_validate(json.loads(card.model_dump_json()))
    assert list(again.signatures_for(Task.CLASSIFY)) == ["z", "a"]
    assert list(again.signatures_for(Task.EXPLAIN)) == []
