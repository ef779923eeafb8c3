"""Requests that run out of time are ended, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.deadlines import Deadlines

pytestmark = pytest.mark.anyio


async def waited(deadlines: Deadlines, seconds: float) -> None:
    with deadlines.at(asyncio.get_running_loop().time() + seconds):
        await asyncio.Event().wait()


async def test_all_that_are_late_end_and_the_others_go_on() -> None:
    deadlines = Deadlines()
    late = [asyncio.create_task(waited(deadlines, 0.02)) for _ in range(3)]
    early = asyncio.create_task(waited(deadlines, 60))
    ends = await asyncio.gather(*late, return_exceptions=True)
    assert [type(end) for end in ends] == [TimeoutError] * 3
    assert not early.done()
    early.cancel()
    with pytest.raises(asyncio.CancelledError):
        await early


async def test_nothing_ends_before_its_time() -> None:
    loop = asyncio.get_running_loop()
    for seconds in (0.001, 0.004, 0.011):
        due = loop.time() + seconds
        with pytest.raises(TimeoutError):
            await waited(Deadlines(), seconds)
        assert loop.time() >= due


async def test_what_was_in_time_is_left_alone_afterwards() -> None:
    deadlines = Deadlines()
    with deadlines.at(asyncio.get_running_loop().time() + 0.01):
        pass
    await asyncio.sleep(0.05)


async def test_a_cancellation_by_somebody_else_stays_one() -> None:
    deadlines = Deadlines()
    task = asyncio.create_task(waited(deadlines, 0.02))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
