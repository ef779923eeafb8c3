"""When a model server is left alone, decided by values alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.breaker import CLOSED, MOST_FAILURES, REST_SECONDS, Breaker, BreakerState


def after(failures: int, now: float = 0.0) -> Breaker:
    """A breaker after so many failures in a row."""
    breaker = CLOSED
    for _ in range(failures):
        breaker = breaker.sent().failed(now)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    assert after(MOST_FAILURES - 1).admits(0.0)
    assert not after(MOST_FAILURES).admits(0.0)
    assert after(MOST_FAILURES).state(0.0) is BreakerState.OPEN


def test_after_its_rest_one_call_finds_out() -> None:
    rested = after(MOST_FAILURES)
    assert not rested.admits(REST_SECONDS - 0.01)
    assert rested.admits(REST_SECONDS)
    assert rested.state(REST_SECONDS) is BreakerState.HALF_OPEN
    assert not rested.sent().admits(REST_SECONDS)


def test_when_that_call_fails_it_rests_again() -> None:
    again = after(MOST_FAILURES).sent().failed(REST_SECONDS)
    assert not again.admits(2 * REST_SECONDS - 0.01)
    assert again.admits(2 * REST_SECONDS)


def test_when_that_call_tells_nothing_the_next_one_finds_out() -> None:
    assert after(MOST_FAILURES).sent().told_nothing().admits(REST_SECONDS)


def test_a_call_that_tells_nothing_is_no_failure_and_no_answer() -> None:
    assert after(MOST_FAILURES - 1).sent().told_nothing() == after(MOST_FAILURES - 1)


@given(st.lists(st.sampled_from(["send", "fail", "nothing", "wait"])))
def test_while_it_is_not_closed_at_most_one_call_is_under_way_and_it_never_stays_open(events: list[str]) -> None:
    breaker, now, under_way = after(MOST_FAILURES), 0.0, 0
    for event in events:
        if event == "wait":
            now += REST_SECONDS / 2
        elif event == "send" and breaker.admits(now):
            breaker, under_way = breaker.sent(), under_way + 1
        elif event == "fail" and under_way:
            breaker, under_way = breaker.failed(now), under_way - 1
        elif event == "nothing" and under_way:
            breaker, under_way = breaker.told_nothing(), under_way - 1
        assert under_way <= 1
        assert under_way or breaker.admits(now + REST_SECONDS)
