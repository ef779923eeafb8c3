"""The policy is a pure function: these are its rules, and a property over every sequence of states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.model_server.policy import Load, Snapshot, State, Unload, next_action

NEW, UP, ENDED = State.START, State.AVAILABLE, State.END


def test_a_new_version_is_loaded_before_the_old_one_is_unloaded() -> None:
    assert next_action([Snapshot(1, UP, False), Snapshot(2, NEW, True)]) == Load(2)
    assert next_action([Snapshot(1, UP, False), Snapshot(2, UP, True)]) == Unload(1)


def test_the_newest_version_is_loaded_first() -> None:
    assert next_action([Snapshot(1, NEW, True), Snapshot(3, NEW, True), Snapshot(2, NEW, True)]) == Load(3)


def test_the_last_version_stays_while_its_successor_cannot_load() -> None:
    assert next_action([Snapshot(1, UP, False), Snapshot(2, ENDED, True)]) is None


def test_everything_goes_when_nothing_is_aspired_the_oldest_first() -> None:
    assert next_action([Snapshot(1, UP, False), Snapshot(2, UP, False)]) == Unload(1)
    assert next_action([Snapshot(2, UP, False)]) == Unload(2)


def test_there_is_nothing_to_do_when_all_is_as_aspired() -> None:
    assert next_action([Snapshot(1, UP, True), Snapshot(2, ENDED, False)]) is None
    assert next_action([]) is None


@given(st.lists(st.tuples(st.sampled_from([NEW, UP, ENDED]), st.booleans()), max_size=6))
def test_a_model_that_serves_never_stops_while_an_aspired_version_is_to_come(rows: list[tuple[State, bool]]) -> None:
    versions = {number: Snapshot(number, state, aspired) for number, (state, aspired) in enumerate(rows)}
    served = any(v.state is UP for v in versions.values())
    hope = any(v.aspired and v.state is not ENDED for v in versions.values())
    for _ in range(2 * len(rows) + 1):
        action = next_action(versions.values())
        if action is None:
            break
        state = UP if isinstance(action, Load) else ENDED
        versions[action.version] = Snapshot(action.version, state, versions[action.version].aspired)
        assert not (served and hope) or any(v.state is UP for v in versions.values())
    assert next_action(versions.values()) is None
    if any(v.aspired and v.state is UP for v in versions.values()):
        assert not any(v.state is UP and not v.aspired for v in versions.values())
