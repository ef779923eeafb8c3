"""Batches are never visible in results; `python -m tests.fuzz.mixed` asks a million times."""

from __future__ import annotations

import asyncio

from tests.fuzz.mixed import DOORS, LATE, LEFT, calls, drive
from tests.fuzz.running import Target

REQUESTS = 1000


def test_each_answer_is_that_of_its_own_input_and_requests_share_calls(target: Target) -> None:
    before = calls(target)
    ended = asyncio.run(drive((target.http_port, target.grpc_port), range(REQUESTS), connections=24))
    assert ended.total() == REQUESTS
    assert {door.__name__ for door in DOORS} <= ended.keys() <= {*(door.__name__ for door in DOORS), LATE, LEFT}
    assert calls(target) - before < REQUESTS
