"""One start of one contender: time to ready, answers checked, load at each number of connections, memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np

from tests.benchmarks.peers.contender import Contender, Door, NotMeasured, Start
from tests.benchmarks.peers.process_tree import Tree, running
from tests.benchmarks.peers.workloads import Served
from tests.benchmarks.peers.wrk import Post, Turn, drive, read

READY_SECONDS = 120
POLL_SECONDS = 0.02
WARM_SECONDS = 1


@dataclass(frozen=True)
class Plan:
    """How long a turn is, and with how many connections."""

    seconds: int
    connections: Sequence[int]


@dataclass(frozen=True)
class Measured:
    """A row of the contender, under which load, and what came out."""

    row: str
    workload: str
    connections: int
    turn: Turn


@dataclass(frozen=True)
class Needs:
    """What a contender took: seconds from its start to its first answer, megabytes after the load."""

    name: str
    ready: float
    megabytes: float


def measure(contender: Contender, start: Start, plan: Plan) -> tuple[Sequence[Measured], Needs]:
    """Start, check, load, check, stop. Raises NotMeasured with the reason when one of these fails."""
    contender.before(start)
    began = time.perf_counter()
    with (
        running(contender.processes(start), start.folder) as tree,
        httpx.Client(trust_env=False, timeout=READY_SECONDS) as client,
    ):
        for door in contender.doors:
            _wait(client, door, start, tree)
        ready = time.perf_counter() - began
        _check(client, contender, start)
        measured = tuple(_turns(contender, start, plan))
        needs = Needs(contender.name, ready, tree.megabytes())
        _check(client, contender, start)
        return measured, needs


def _ask(client: httpx.Client, door: Door, start: Start, number: int) -> httpx.Response:
    served = start.served
    return client.post(door.url(served.workload.name, start.port), json=door.body(served.inputs[number]))


def _wait(client: httpx.Client, door: Door, start: Start, tree: Tree) -> None:
    deadline = time.monotonic() + READY_SECONDS
    told = "nothing"
    while time.monotonic() < deadline:
        tree.check()
        try:
            answer = _ask(client, door, start, 0)
        except httpx.TransportError as error:
            told = repr(error)
        else:
            if answer.is_success:
                return
            told = f"{answer.status_code} {answer.text[:200]}"
        time.sleep(POLL_SECONDS)
    raise NotMeasured(f"it did not answer within {READY_SECONDS} s: {told}; its log ends: {tree.last_words()}")


def _check(client: httpx.Client, contender: Contender, start: Start) -> None:
    """Every input at once, so that a server that batches does; each has its own answer."""
    served = start.served
    with ThreadPoolExecutor(len(served.inputs)) as pool:
        for door in contender.doors:
            asked = [pool.submit(_ask, client, door, start, number) for number in range(len(served.inputs))]
            check_answers(door, served, [answer.result() for answer in asked])


def check_answers(door: Door, served: Served, answers: Sequence[httpx.Response]) -> None:
    """Raises NotMeasured unless all are those of the model in memory, to the fifth digit."""
    for answer, expected in zip(answers, served.answers, strict=True):
        if not answer.is_success:
            raise NotMeasured(f"it answered {answer.status_code} {answer.text[:200]}")
        scores = np.asarray(door.scores(answer.json()), np.float64)
        if scores.shape != expected.shape or not np.allclose(scores, expected, atol=1e-5, rtol=0):
            raise NotMeasured(f"its scores are not the model's, {expected.tolist()}. Received: {scores.tolist()}")


def _turns(contender: Contender, start: Start, plan: Plan) -> Iterator[Measured]:
    for door in contender.doors:
        body = start.folder / "body.json"
        body.write_bytes(json.dumps(door.body(start.served.inputs[0])).encode())
        post = Post(door.url(start.served.workload.name, start.port), body)
        drive(post, max(plan.connections), WARM_SECONDS)
        for connections in plan.connections:
            turn = read(drive(post, connections, plan.seconds))
            yield Measured(contender.label(door), start.served.workload.name, connections, turn)
