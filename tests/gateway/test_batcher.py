"""Natural batching: nobody waits for a timer, nobody sees the others."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from weakref import ref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import Internal, InvalidArgument, Unavailable
from services.core.telemetry import REQUEST
from services.core.tensors import Array
from services.gateway.batcher import Batcher, BatchLimits
from services.gateway.overload import Overloaded
from services.gateway.request import Call, Columns, Tensors, call_of
from services.gateway.routing_table import Servable
from tests.gateway.models import AFFINE, card_of

pytestmark = pytest.mark.anyio

SERVABLE = Servable("affine", 1, card_of("affine", AFFINE), {}, ("one",))


def call(values: Any, dtype: Any = np.float32, servable: Servable = SERVABLE) -> Call:
    """A call with one input."""
    return call_of(servable, Tensors("serving_default", {"x": np.array(values, dtype)}), 1e9)


class Uncounted:
    """Counts nothing."""

    def call(self, servable: Servable, rows: int) -> None:
        """A call."""

    def spent(self, model: str, stage: str, seconds: float) -> None:
        """A wait."""

    def shed(self, reason: str) -> None:
        """A refusal."""


class Door:
    """A backend that answers 2x + 1 when the test opens it, and remembers what it was sent."""

    def __init__(self, is_open: bool = False) -> None:
        self.open = asyncio.Event()
        if is_open:
            self.open.set()
        self.batches: list[list[float]] = []
        self.cancelled = 0
        self.fault: Exception | None = None

    async def predict(self, call: Call) -> Columns:
        """Refuse a batch with a negative number, as a graph refuses a picture it cannot decode."""
        values = call.columns["x"]
        self.batches.append(values.reshape(-1).tolist())
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fault is not None:
            raise self.fault
        if (values < 0).any():
            raise InvalidArgument(f"x is not negative. Received: {values.min()}")
        return {"y": values * 2 + 1}


def batcher_over(door: Door, **limits: Any) -> Batcher:
    """A batcher whose calls nobody counts."""
    return Batcher(door.predict, replace(BatchLimits(), **limits), Uncounted())


async def start(batcher: Batcher, *calls: Call) -> list[asyncio.Task[Mapping[str, Array]]]:
    """One task a call, each as far as it goes by itself."""
    tasks = [asyncio.ensure_future(batcher.predict(item)) for item in calls]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


async def test_a_lone_request_goes_out_at_once() -> None:
    door = Door(is_open=True)
    outputs = await batcher_over(door).predict(call([1, 2]))
    assert outputs["y"].tolist() == [3, 5]
    assert door.batches == [[1, 2]]


async def test_requests_that_come_during_a_call_leave_together_when_it_returns() -> None:
    door = Door()
    tasks = await start(batcher_over(door), call([1]), call([2, 3]), call([4]))
    assert door.batches == [[1]]
    door.open.set()
    results = [(await task)["y"].tolist() for task in tasks]
    assert results == [[3], [5, 7], [9]]
    assert door.batches == [[1], [2, 3, 4]]


async def test_only_rows_of_one_kind_share_a_call() -> None:
    door = Door()
    other = Servable("affine", 2, SERVABLE.card, {}, ("one",))
    calls = [call([1]), call([[1, 2]]), call([1], np.int64), call([1], servable=other)]
    tasks = await start(batcher_over(door), *calls)
    assert len(door.batches) == 4
    door.open.set()
    await asyncio.gather(*tasks)


async def test_a_batch_has_at_most_so_many_rows_and_a_large_request_goes_alone() -> None:
    door = Door()
    tasks = await start(batcher_over(door, batch_rows=3), *[call([n]) for n in range(1, 6)], call(range(10, 20)))
    door.open.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in door.batches] == [1, 3, 1, 10]


async def test_a_batch_has_at_most_so_many_bytes() -> None:
    door = Door()
    tasks = await start(batcher_over(door, batch_bytes=8), *[call([n]) for n in range(1, 6)])
    door.open.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in door.batches] == [1, 2, 2]


async def test_after_a_batch_that_took_long_the_next_has_half_as_many_rows() -> None:
    sizes: list[int] = []

    async def slow_together(call: Call) -> Columns:
        sizes.append(call.rows or 0)
        await asyncio.sleep(0.05 if sizes[-1] > 1 else 0)
        return call.columns

    batcher = Batcher(slow_together, BatchLimits(batch_rows=8, long=0.04), Uncounted())
    await asyncio.gather(*(batcher.predict(call([n])) for n in range(1, 18)))
    assert sizes == [1, 8, 4, 2, 1, 1]


@pytest.mark.parametrize("limit", [{"queue_rows": 2}, {"queue_bytes": 8}])
async def test_beyond_the_bound_of_the_queue_requests_are_refused_and_those_before_are_answered(
    limit: dict[str, int],
) -> None:
    door = Door()
    batcher = batcher_over(door, **limit)
    tasks = await start(batcher, call([1]), call([2]), call([3]))
    with pytest.raises(Overloaded, match="Received: 1 more rows"):
        await batcher.predict(call([4]))
    door.open.set()
    assert [(await task)["y"].tolist() for task in tasks] == [[3], [5], [7]]
    assert (await batcher.predict(call([4])))["y"].tolist() == [9]


async def test_calls_that_cannot_be_batched_are_bounded_too() -> None:
    door = Door()
    batcher = batcher_over(door, calls_alone=2)
    scalar = call(4)
    assert scalar.rows is None
    tasks = await start(batcher, scalar, scalar)
    with pytest.raises(Overloaded, match="Received: one more"):
        await batcher.predict(scalar)
    door.open.set()
    assert [(await task)["y"].tolist() for task in tasks] == [9, 9]
    assert (await batcher.predict(scalar))["y"].tolist() == 9


async def test_one_bad_request_does_not_fail_its_neighbours() -> None:
    door = Door()
    first, good, bad, also_good = await start(batcher_over(door), call([0]), call([1]), call([-5]), call([2]))
    door.open.set()
    assert (await first)["y"].tolist() == [1]
    assert (await good)["y"].tolist() == [3]
    with pytest.raises(InvalidArgument, match=r"Received: -5"):
        await bad
    assert (await also_good)["y"].tolist() == [5]


async def test_a_fault_of_the_model_server_reaches_everyone_in_the_batch() -> None:
    door = Door()
    door.fault = Unavailable("gone")
    tasks = await start(batcher_over(door), call([1]), call([2]), call([3]))
    door.open.set()
    for task in tasks:
        with pytest.raises(Unavailable):
            await task
    assert len(door.batches) == 2


async def test_a_fault_of_ours_leaves_nobody_waiting() -> None:
    door = Door()
    tasks = await start(batcher_over(door), call([1]), call([2]), call([3]))
    door.fault = RuntimeError("a bug")
    door.open.set()
    for task in tasks:
        with pytest.raises((RuntimeError, Internal)):
            async with asyncio.timeout(5):
                await task


async def test_a_caller_that_leaves_the_queue_is_not_sent_and_harms_nobody() -> None:
    door = Door()
    first, leaver, stayer = await start(batcher_over(door), call([1]), call([2]), call([3]))
    leaver.cancel()
    door.open.set()
    assert (await stayer)["y"].tolist() == [7]
    assert door.batches == [[1], [3]]
    await first


async def test_a_caller_that_leaves_a_batch_under_way_harms_nobody() -> None:
    door = Door()
    first, leaver, stayer = await start(batcher_over(door), call([1]), call([2]), call([3]))
    first.cancel()
    await start(batcher_over(door))
    assert door.batches == [[1], [2, 3]]
    leaver.cancel()
    door.open.set()
    assert (await stayer)["y"].tolist() == [7]


async def test_when_all_callers_have_left_the_call_is_cancelled_and_the_lane_goes_on() -> None:
    door = Door()
    batcher = batcher_over(door)
    tasks = await start(batcher, call([1]), call([2]), call([3]))
    for task in tasks:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await start(batcher)  # the lane goes on with the others
    assert door.cancelled == 2
    door.open.set()
    assert (await batcher.predict(call([4])))["y"].tolist() == [9]
    assert not batcher._lanes


async def test_a_call_is_made_in_the_name_of_its_one_request_or_in_nobodys() -> None:
    door = Door()
    names: list[str] = []

    async def predict(item: Call) -> Columns:
        names.append(REQUEST.get().get("request_id", ""))
        return await door.predict(item)

    async def asked(name: str, item: Call) -> Columns:
        REQUEST.set({"request_id": name})
        return await batcher.predict(item)

    batcher = Batcher(predict, BatchLimits(batch_rows=2), Uncounted())
    asking = [asked("a", call([1])), asked("b", call([2])), asked("c", call([-3])), asked("d", call([4]))]
    tasks = [asyncio.create_task(one) for one in asking]
    await start(batcher)
    door.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], InvalidArgument)
    assert door.batches == [[1], [2, -3], [2], [-3], [4]]
    assert names == ["a", "", "b", "c", "d"]


async def test_an_output_without_a_row_for_each_row_is_asked_for_one_by_one() -> None:
    door = Door()

    async def total(item: Call) -> Columns:
        outputs = await door.predict(item)
        return {"total": outputs["y"].sum(keepdims=True)}

    batcher = Batcher(total, BatchLimits(), Uncounted())
    tasks = await start(batcher, call([1]), call([1, 2]), call([3, 4]))
    door.open.set()
    assert [(await task)["total"].tolist() for task in tasks] == [[3], [8], [16]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.booleans()), min_size=1, max_size=60))
def test_batching_is_never_visible(requests: list[tuple[int, int, bool]]) -> None:
    """Any sizes, kinds and moments, some callers leaving: each answer is its own input's."""

    async def play() -> None:
        door = Door(is_open=True)

        async def slow(item: Call) -> Columns:
            for _ in range(len(door.batches) % 4):
                await asyncio.sleep(0)
            return await door.predict(item)

        batcher = Batcher(slow, BatchLimits(batch_rows=16), Uncounted())

        async def ask(number: int, rows: int, pause: int) -> None:
            values = np.arange(rows, dtype=np.float32) + 100 * number
            for _ in range(pause):
                await asyncio.sleep(0)
            outputs = await batcher.predict(call(values))
            assert outputs["y"].tolist() == (values * 2 + 1).tolist()

        tasks = [asyncio.ensure_future(ask(n, rows, pause)) for n, (rows, pause, _) in enumerate(requests)]
        await asyncio.sleep(0)
        for task, (_, _, leaves) in zip(tasks, requests, strict=True):
            if leaves:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not batcher._lanes
        assert not batcher._queued_bytes

    asyncio.run(play())


async def test_tensors_that_were_answered_do_not_wait_for_the_garbage_collector() -> None:
    door = Door()
    calls = [call([1]), call([2]), call([3])]
    arrays = [ref(one.columns["x"]) for one in calls]
    gc.disable()
    try:
        tasks = await start(batcher_over(door), *calls)
        door.open.set()
        await asyncio.gather(*tasks)
        del calls, tasks
        await asyncio.sleep(0)
        assert not [array for array in arrays if array() is not None]
    finally:
        gc.enable()
