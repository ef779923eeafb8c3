"""Which models are asked about at a look."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.turns import AT_REST_AT_ONCE, States, Turns, is_at_rest

NAMES = [f"m{number:02}" for number in range(2 * AT_REST_AT_ONCE)]


@pytest.mark.parametrize(
    ("wanted", "states", "rests"),
    [
        ({1}, {1: "AVAILABLE"}, True),
        ({2}, {1: "END", 2: "AVAILABLE"}, True),
        (set(), {}, True),
        (set(), {1: "END"}, True),
        ({1}, None, False),
        ({1}, {}, False),
        ({1}, {1: "LOADING"}, False),
        ({1}, {1: "END"}, False),
        ({2}, {1: "AVAILABLE"}, False),
        ({2}, {1: "UNLOADING", 2: "AVAILABLE"}, False),
        ({2}, {1: "AVAILABLE", 2: "AVAILABLE"}, False),
    ],
)
def test_a_model_rests_when_what_is_wanted_is_there_and_nothing_else(
    wanted: set[int], states: States | None, rests: bool
) -> None:
    assert is_at_rest(wanted, states) is rests


@given(st.lists(st.sets(st.sampled_from(NAMES)), min_size=4, max_size=4))
def test_what_moves_is_asked_each_time_and_the_rest_before_long(moving: list[set[str]]) -> None:
    turns, wanted = Turns(), {name: {1} for name in NAMES}
    asked: set[str] = set()
    for names in moving:
        known: Mapping[str, States] = {name: {1: "LOADING" if name in names else "AVAILABLE"} for name in NAMES}
        due = turns.next(wanted, known)
        assert len(due) == len(set(due))
        assert names <= set(due)
        assert len(due) <= len(names) + AT_REST_AT_ONCE
        asked |= set(due)
    assert asked == set(NAMES)
