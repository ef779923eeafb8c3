"""What the mirror decides, without doing it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mirror.plan import Served, View, is_ready, plan

GRACE = 5.0
OLD, NEW = ("m", 1), ("m", 2)


def view(**facts: Any) -> View:
    return View(**{"now": 100.0, "labels": {}, "on_disk": (), "states": {}, **facts})


def versions(served: dict[str, Served], model: str = "m") -> set[int]:
    return set(served[model].versions) if model in served else set()


def test_what_a_label_wants_is_fetched() -> None:
    todo = plan(view(labels={"m": {"stable": 1}}), GRACE)
    assert todo.fetch == {OLD}
    assert not todo.serve


def test_what_is_on_its_way_is_not_fetched_again() -> None:
    assert not plan(view(labels={"m": {"stable": 1}}, fetching=[OLD]), GRACE).fetch


def test_what_is_here_is_served_and_labelled_only_when_it_is_available() -> None:
    loading = plan(view(labels={"m": {"stable": 1}}, on_disk=[OLD], states={OLD: "LOADING"}), GRACE)
    assert loading.serve == {"m": Served(frozenset({1}), {})}
    ready = plan(view(labels={"m": {"stable": 1}}, on_disk=[OLD], states={OLD: "AVAILABLE"}), GRACE)
    assert ready.serve == {"m": Served(frozenset({1}), {"stable": 1})}


def test_the_old_version_stays_until_the_new_one_answers_and_the_grace_is_over() -> None:
    facts = {"labels": {"m": {"stable": 2}}, "on_disk": [OLD, NEW]}
    loading = plan(view(**facts, states={OLD: "AVAILABLE", NEW: "LOADING"}, now=0), GRACE)
    assert versions(dict(loading.serve)) == {1, 2}
    both = {OLD: "AVAILABLE", NEW: "AVAILABLE"}
    taken_over = plan(view(**facts, states=both, now=50, replaced={OLD: 49.0}), GRACE)
    assert versions(dict(taken_over.serve)) == {1, 2}
    over = plan(view(**facts, states=both, now=54.1, replaced=taken_over.replaced), GRACE)
    assert versions(dict(over.serve)) == {2}
    assert not over.remove
    gone = plan(view(**facts, states={OLD: "END", NEW: "AVAILABLE"}, now=55), GRACE)
    assert gone.remove == {OLD}


def test_the_old_version_stays_for_ever_if_the_new_one_cannot_be_loaded() -> None:
    todo = plan(
        view(
            labels={"m": {"stable": 2}},
            on_disk=[OLD, NEW],
            states={OLD: "AVAILABLE", NEW: "END"},
            held_back={NEW: 200.0},
            replaced={OLD: 0.0},
        ),
        GRACE,
    )
    assert versions(dict(todo.serve)) == {1}
    assert NEW not in todo.remove


def test_a_version_that_failed_is_tried_again_later() -> None:
    facts = {"labels": {"m": {"stable": 2}}, "held_back": {NEW: 100.0}}
    assert not plan(view(**facts, now=99.0), GRACE).fetch
    assert plan(view(**facts, now=100.0), GRACE).fetch == {NEW}


def test_a_model_server_that_restarts_amid_a_failing_roll_out_gets_the_old_version_back() -> None:
    facts = {"labels": {"m": {"stable": 2}}, "on_disk": [OLD, NEW], "held_back": {NEW: 200.0}}
    for states in ({}, {OLD: "LOADING"}, {OLD: "LOADING", NEW: "END"}, {OLD: "AVAILABLE", NEW: "END"}):
        todo = plan(view(**facts, states=states), GRACE)
        assert versions(dict(todo.serve)) == {1}
        assert not todo.remove
    both = plan(view(**facts, states={OLD: "AVAILABLE", NEW: "END"}, now=200.0), GRACE)
    assert versions(dict(both.serve)) == {1, 2}


def test_the_old_version_is_served_while_the_new_one_is_fetched_after_a_restart_of_everything() -> None:
    todo = plan(view(labels={"m": {"stable": 2}}, on_disk=[OLD]), GRACE)
    assert todo.fetch == {NEW}
    assert versions(dict(todo.serve)) == {1}


def test_a_model_whose_labels_cannot_be_read_stays_as_it_is() -> None:
    for states in ({}, {OLD: "AVAILABLE"}):
        for labels in ({}, {"m": {"stable": 1}}):
            todo = plan(view(labels=labels, on_disk=[OLD], states=states, unread={"m"}, replaced={OLD: 0.0}), GRACE)
            assert versions(dict(todo.serve)) == {1}
            assert not todo.remove


def test_a_model_without_labels_goes_after_the_grace() -> None:
    facts = {"labels": {"m": {}}, "on_disk": [OLD]}
    kept = plan(view(**facts, states={OLD: "AVAILABLE"}), GRACE)
    assert versions(dict(kept.serve)) == {1}
    over = plan(view(**facts, states={OLD: "AVAILABLE"}, now=105.0, replaced=kept.replaced), GRACE)
    assert not over.serve
    assert plan(view(**facts, states={OLD: "END"}), GRACE).remove == {OLD}


WANTS_ONE, WANTS_BOTH = {"m": {"stable": 1}}, {"m": {"stable": 1}, "n": {"stable": 1}}
ANSWERS, OTHER = {OLD: "AVAILABLE"}, ("n", 1)


@pytest.mark.parametrize(
    ("facts", "was_ready", "ready"),
    [
        ({}, False, True),  # nothing is published
        ({"labels": WANTS_ONE}, False, False),
        ({"labels": WANTS_ONE, "states": {OLD: "LOADING"}}, False, False),
        ({"labels": WANTS_ONE, "states": ANSWERS}, False, True),
        ({"labels": WANTS_BOTH, "states": ANSWERS}, False, False),
        ({"labels": WANTS_BOTH, "states": ANSWERS, "held_back": {OTHER: 200.0}}, False, True),  # it has failed
        ({"labels": WANTS_BOTH, "states": ANSWERS}, True, True),  # it is published later, or tried again
        ({"labels": {"m": {"stable": 2}}, "states": ANSWERS}, True, True),  # amid a roll-out
        ({"labels": WANTS_ONE, "states": {}}, True, False),  # the model server has restarted
        ({"labels": WANTS_ONE, "held_back": {OLD: 200.0}}, True, False),
    ],
)
def test_requests_come_once_all_that_can_be_loaded_is_and_while_anything_answers(
    facts: Any, was_ready: bool, ready: bool
) -> None:
    assert is_ready(view(**facts), was_ready, store_is_read=True) is ready


def test_without_the_store_what_is_on_disk_counts() -> None:
    assert not is_ready(view(), False, store_is_read=False)
    on_disk = view(on_disk=[OLD], unread={"m"})
    assert not is_ready(on_disk, False, store_is_read=False)
    assert is_ready(view(on_disk=[OLD], unread={"m"}, states=ANSWERS), False, store_is_read=False)


def test_thousands_of_models_are_gone_through_once() -> None:
    names = [f"m{number}" for number in range(4000)]
    every = {(name, 1) for name in names}
    seen = view(labels={name: {"stable": 1} for name in names}, on_disk=every, states=dict.fromkeys(every, "AVAILABLE"))
    began = time.process_time()
    todo = plan(seen, GRACE)
    assert time.process_time() - began < 0.5
    assert todo.serve.keys() == set(names)


KEYS = st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 3))


@given(
    labels=st.dictionaries(
        st.sampled_from(["a", "b"]), st.dictionaries(st.sampled_from(["s", "c"]), st.integers(1, 3))
    ),
    on_disk=st.sets(KEYS),
    states=st.dictionaries(KEYS, st.sampled_from(["LOADING", "AVAILABLE", "UNLOADING", "END"])),
    held_back=st.dictionaries(KEYS, st.floats(0, 200)),
    unread=st.sets(st.sampled_from(["a", "b"])),
)
def test_nothing_that_may_be_needed_is_dropped(
    labels: Any, on_disk: Any, states: Any, held_back: Any, unread: Any
) -> None:
    seen = view(labels=labels, on_disk=on_disk, states=states, held_back=held_back, unread=unread)
    todo = plan(seen, GRACE)
    served = {(model, version) for model, entry in todo.serve.items() for version in entry.versions}
    assert not todo.remove & (served | seen.wanted)
    assert todo.remove <= on_disk
    assert not todo.fetch & on_disk
    for model in {model for model, _ in on_disk | states.keys()} - {m for m in labels if seen.has_succeeded(m)}:
        if model not in labels and model not in unread:
            continue  # nobody wants it
        answering = {key for key, state in states.items() if key[0] == model and state == "AVAILABLE"}
        assert answering - seen.wanted <= served, "what answers was dropped before its successor does"
        assert not todo.remove & {key for key in on_disk if key[0] == model}, "it may be the best there is"
        if not answering:
            assert {key for key in on_disk if key[0] == model and not seen.is_held_back(key)} <= served
