"""Who takes the next call, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidArgument, Unavailable
from services.gateway.breaker import MOST_FAILURES, REST_SECONDS
from services.gateway.overload import Overloaded
from services.gateway.slots import MOST_WAITING, Server, Slots

pytestmark = pytest.mark.anyio

A, B = "a", "b"


class Hand:
    """Slots with a clock that the test sets, and what they shed."""

    def __init__(self, most: int) -> None:
        self.now = 0.0
        self.shed: list[str] = []
        self.slots = Slots(most, lambda: self.now, self.shed.append)

    def fail(self, server: Server, times: int) -> None:
        """So many calls are not answered."""
        for _ in range(times):
            self.slots.take("m", [server])
            self.slots.ended(server, "m", Unavailable(""))

    def take_all(self, model: str, servers: Sequence[Server]) -> Iterator[Server]:
        """Calls of a model, until it gets no more slots."""
        while (server := self.slots.take(model, servers)) is not None:
            yield server

    def end(self, server: Server, model: str) -> None:
        """A call is answered."""
        self.slots.ended(server, model, None)

    async def wait(self, model: str, servers: Sequence[Server]) -> asyncio.Task[Server]:
        """A call that waits by now."""
        task = asyncio.ensure_future(self.slots.wait(model, servers))
        await asyncio.sleep(0)
        return task


def test_the_server_with_the_fewest_calls_is_next_and_of_equals_the_one_that_was_asked_before() -> None:
    hand, one, two = Hand(16), Server("one"), Server("two")
    asked = [hand.slots.take("m", [one, two]) for _ in range(4)]
    assert asked == [one, two, one, two]
    hand.end(two, "m")
    assert hand.slots.take("m", [one, two]) is two
    for server in (one, one, two, two):
        hand.end(server, "m")
    assert [hand.slots.take("m", [one, two]) for _ in range(2)] == [one, two]


def test_a_model_holds_no_more_slots_than_it_leaves_free_so_another_always_finds_one() -> None:
    hand, server = Hand(16), Server("one")
    held = [len(list(hand.take_all(model, [server]))) for model in ("slow", "also slow", "slow, too", "fast")]
    assert held == [8, 4, 2, 1]
    assert server.calls == 15


def test_a_server_of_one_slot_takes_one_call() -> None:
    hand, server = Hand(1), Server("one")
    assert len(list(hand.take_all("m", [server]))) == 1


def test_a_server_that_does_not_answer_gets_no_calls_until_it_has_rested() -> None:
    hand, dead, alive = Hand(16), Server("dead"), Server("alive")
    hand.fail(dead, MOST_FAILURES)
    assert {hand.slots.take("m", [dead, alive]) for _ in range(4)} == {alive}
    hand.now = REST_SECONDS
    assert [hand.slots.take("m", [dead, alive]) for _ in range(2)] == [dead, alive]
    hand.slots.ended(dead, "m", InvalidArgument("an answer, too"))
    assert hand.slots.take("m", [dead, alive]) is dead


def test_when_no_server_answers_a_call_is_refused_at_once() -> None:
    hand, dead = Hand(16), Server("dead")
    hand.fail(dead, MOST_FAILURES)
    with pytest.raises(Unavailable, match="does not answer"):
        hand.slots.take("m", [dead])
    assert hand.shed == ["breaker"]


async def test_who_waits_is_told_when_no_server_answers_any_more() -> None:
    hand, server = Hand(1), Server("one")
    hand.fail(server, MOST_FAILURES - 1)
    hand.slots.take(A, [server])
    waiting = await hand.wait(B, [server])
    hand.slots.ended(server, A, Unavailable(""))
    with pytest.raises(Unavailable, match="does not answer"):
        await waiting


async def test_who_waits_is_served_by_turns_model_by_model() -> None:
    hand, server = Hand(1), Server("one")
    hand.slots.take("z", [server])
    order: list[str] = []

    async def one(model: str) -> None:
        granted = await hand.slots.wait(model, [server])
        order.append(model)
        await asyncio.sleep(0)
        hand.end(granted, model)

    tasks = [asyncio.ensure_future(one(model)) for model in (A, A, A, A, B, B)]
    await asyncio.sleep(0)
    hand.end(server, "z")
    await asyncio.gather(*tasks)
    assert order == [A, B, A, B, A, A]


async def test_calls_that_wait_are_bounded_by_model() -> None:
    hand, server = Hand(1), Server("one")
    hand.slots.take("slow", [server])
    tasks = [await hand.wait("slow", [server]) for _ in range(MOST_WAITING)]
    with pytest.raises(Overloaded, match="one more for slow"):
        await hand.slots.wait("slow", [server])
    assert hand.shed == ["slots"]
    fast = await hand.wait("fast", [server])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    hand.end(server, "slow")
    assert await fast is server


async def test_a_caller_that_goes_away_leaves_the_queue() -> None:
    hand, server = Hand(1), Server("one")
    hand.slots.take(A, [server])
    leaver, stayer = await hand.wait(A, [server]), await hand.wait(B, [server])
    leaver.cancel()
    await asyncio.sleep(0)
    hand.end(server, A)
    assert await stayer is server
    assert server.calls == 1


async def test_a_caller_that_goes_away_in_the_moment_it_gets_a_slot_gives_it_back() -> None:
    hand, server = Hand(1), Server("one")
    hand.slots.take(A, [server])
    leaver, stayer = await hand.wait(A, [server]), await hand.wait(B, [server])
    hand.end(server, A)
    leaver.cancel()
    assert await stayer is server
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert server.calls == 1


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 4), st.integers(0, 3)), max_size=60),
)
def test_no_server_has_too_many_calls_and_nobody_waits_for_ever(
    most: int, calls: list[tuple[str, int, int, int]]
) -> None:
    """Calls of three models, to one or both servers, of any length, some cancelled, some failing."""

    async def play() -> None:
        hand, servers = Hand(most), [Server("one"), Server("two")]
        ticks = count()

        async def one(model: str, where: int, length: int, end: int) -> None:
            among = [server for bit, server in enumerate(servers) if where >> bit & 1]
            server = hand.slots.take(model, among) or await hand.slots.wait(model, among)
            error: BaseException | None = None
            try:
                assert server in among
                assert max(one.calls for one in servers) <= most
                for _ in range(length):
                    await asyncio.sleep(0)
                error = Unavailable("") if end == 1 else None
            except asyncio.CancelledError as cancelled:
                error = cancelled
                raise
            finally:
                hand.now = next(ticks) / 4
                hand.slots.ended(server, model, error)

        tasks = [asyncio.ensure_future(one(*call)) for call in calls]
        await asyncio.sleep(0)
        for task, (*_, end) in zip(tasks, calls, strict=True):
            if end == 2:
                task.cancel()
        async with asyncio.timeout(5):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(one is None or isinstance(one, (asyncio.CancelledError, Unavailable)) for one in results)
        assert all(not server.calls and not any(server.calls_of.values()) for server in servers)

    asyncio.run(play())
