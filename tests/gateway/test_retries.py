"""Which calls are sent again, and when, decided by values alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    TensorgateError,
    Unavailable,
)
from services.gateway.overload import Overloaded
from services.gateway.retries import MOST_TRIES, RetryBudget, Tried, pause_before_next

ALONE, ONE_OF_TWO = Tried(1, others=False, left=10.0), Tried(1, others=True, left=10.0)


@pytest.mark.parametrize("error", [Unavailable, Overloaded])
def test_a_server_that_is_gone_or_full_is_asked_again_after_a_pause_and_another_at_once(
    error: type[TensorgateError],
) -> None:
    assert pause_before_next(error(""), ALONE, luck=0.5) == 0.025
    assert pause_before_next(error(""), ONE_OF_TWO, luck=0.5) == 0.0


def test_a_version_that_is_not_found_is_asked_of_another_server_only() -> None:
    assert pause_before_next(NotFound(""), ONE_OF_TWO, luck=0.5) == 0.0
    assert pause_before_next(NotFound(""), ALONE, luck=0.5) is None


@pytest.mark.parametrize("error", [InvalidArgument, ResourceExhausted, DeadlineExceeded, Internal])
@pytest.mark.parametrize("tried", [ALONE, ONE_OF_TWO])
def test_any_other_error_is_the_answer(error: type[TensorgateError], tried: Tried) -> None:
    assert pause_before_next(error(""), tried, luck=0.5) is None


@given(st.integers(1, 5), st.booleans(), st.floats(-1, 5), st.floats(0, 1, exclude_max=True))
def test_no_pause_is_longer_than_the_time_left_or_follows_the_last_try(
    times: int, others: bool, left: float, luck: float
) -> None:
    pause = pause_before_next(Unavailable(""), Tried(times, others, left), luck)
    if pause is not None:
        assert times < MOST_TRIES
        assert 0 <= pause <= 0.1
        assert pause < left


@given(st.lists(st.booleans(), max_size=500))
def test_retries_are_at_most_a_tenth_of_the_calls_and_the_reserve(retries: list[bool]) -> None:
    budget, spent = RetryBudget(reserve=4), 0
    for calls, wanted in enumerate(retries, 1):
        budget.earn()
        spent += wanted and budget.spend()
        assert spent <= 4 + calls / 10 + 1e-6


def test_a_budget_that_was_spent_fills_up_again() -> None:
    budget = RetryBudget(reserve=2)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]
