"""What the mirror decides, without doing it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.mirror.plan import Served, View, plan

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


KEYS = st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 3))


@given(
    labels=st.dictionaries(
        st.sampled_from(["a", "b"]), st.dictionaries(st.sampled_from(["s", "c"]), st.integers(1, 3))
    ),
    on_disk=st.sets(KEYS),
    states=st.dictionaries(KEYS, st.sampled_from(["LOADING", "AVAILABLE", "UNLOADING", "END"])),
    held_back=st.dictionaries(KEYS, st.floats(0, 200)),
)
def test_nothing_is_removed_that_is_wanted_or_served_and_no_answering_model_is_left_without_a_version(
    labels: Any, on_disk: Any, states: Any, held_back: Any
) -> None:
    seen = view(labels=labels, on_disk=on_disk, states=states, held_back=held_back)
    todo = plan(seen, GRACE)
    served = {(model, version) for model, entry in todo.serve.items() for version in entry.versions}
    assert not todo.remove & (served | seen.wanted)
    assert todo.remove <= on_disk
    for model, version in seen.wanted:
        answers = any(name == model and state == "AVAILABLE" for (name, _), state in states.items())
        successor = states.get((model, version)) == "AVAILABLE"
        if answers and not successor and (model, version) not in on_disk:
            assert any(name == model for name, _ in served), "an old version that answers was dropped too early"
