"""When a model server is left alone, decided by values alone."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.breaker import CLOSED, MOST_FAILURES, REST_SECONDS, Breaker, BreakerState


def after(failures: int, now: float = 0.0) -> Breaker:
    """A breaker after so many failures in a row."""
    breaker = CLOSED
    for _ in range(failures):
        breaker = breaker.sent(now).failed(now)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    assert after(MOST_FAILURES - 1).admits(0.0)
    assert not after(MOST_FAILURES).admits(0.0)
    assert after(MOST_FAILURES).state(0.0) is BreakerState.OPEN


def test_after_its_rest_one_call_a_second_finds_out() -> None:
    rested = after(MOST_FAILURES)
    assert not rested.admits(REST_SECONDS - 0.01)
    assert rested.admits(REST_SECONDS)
    assert rested.state(REST_SECONDS) is BreakerState.HALF_OPEN
    sent = rested.sent(REST_SECONDS)
    assert not sent.admits(2 * REST_SECONDS - 0.01)
    assert sent.admits(2 * REST_SECONDS)  # whether that call has ended or not


def test_when_that_call_fails_it_rests_again() -> None:
    again = after(MOST_FAILURES).sent(REST_SECONDS).failed(1.5 * REST_SECONDS)
    assert not again.admits(2.5 * REST_SECONDS - 0.01)
    assert again.admits(2.5 * REST_SECONDS)


@given(st.lists(st.sampled_from(["send", "fail", "wait"])))
def test_while_open_at_most_one_call_a_second_goes_through_and_it_never_stays_so(
    events: list[str],
) -> None:
    breaker, now, sent = after(MOST_FAILURES), 0.0, []
    for event in events:
        if event == "wait":
            now += REST_SECONDS / 2
        elif event == "send" and breaker.admits(now):
            breaker = breaker.sent(now)
            sent.append(now)
        elif event == "fail":
            breaker = breaker.failed(now)
        assert breaker.admits(now + REST_SECONDS)
    assert all(later - earlier >= REST_SECONDS for earlier, later in pairwise(sent))
