"""The benchmark beside peers, but for the peers: client, figures, tables, and one start of a tiny server."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.peers.contender import Contender, Door, NotMeasured, Process, Start
from tests.benchmarks.peers.figures import Bar, Load, p50s, rates
from tests.benchmarks.peers.frameworks import FRAMEWORKS, SERVERS
from tests.benchmarks.peers.measuring import Measured, Needs, Plan, measure
from tests.benchmarks.peers.report import Field, Loads, beside_peers
from tests.benchmarks.peers.turns import Findings
from tests.benchmarks.peers.workloads import SMALL, Served
from tests.benchmarks.peers.wrk import Turn, missing, read
from tests.ports import free_port

SUMS = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Sums(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        numbers = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["numbers"]
        answer = json.dumps({"scores": [sum(numbers) + float(sys.argv[2])]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Sums).serve_forever()
"""
DOOR = Door("/sums", lambda row: {"numbers": row.tolist()}, lambda answer: answer["scores"])


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Four inputs, whose answers are their sums."""
    inputs = np.arange(12.0).reshape(4, 3)
    served = Served(SMALL, tmp_path, tmp_path, inputs, inputs.sum(axis=1, keepdims=True))
    return Start(served, free_port(), tmp_path)


def tiny(program: str, error: float = 0) -> Contender:
    """A contender that is one process of Python; its sums are wrong by `error`."""
    return Contender(
        "tiny", (DOOR,), lambda start: (Process((sys.executable, "-c", program, str(start.port), str(error))),)
    )


@pytest.mark.skipif(bool(missing()), reason="wrk is not here")
def test_a_server_is_started_checked_loaded_and_weighed(start: Start) -> None:
    (measured,), needs = measure(tiny(SUMS), start, Plan(1, (2,)))
    assert (measured.row, measured.workload, measured.connections) == ("tiny", "small", 2)
    assert measured.turn.rate > 1 and measured.turn.p50 <= measured.turn.p99
    assert needs.ready > 0 and needs.megabytes > 1


def test_a_server_whose_answers_are_not_the_models_is_not_measured(start: Start) -> None:
    with pytest.raises(NotMeasured, match="not the model's"):
        measure(tiny(SUMS, error=0.01), start, Plan(1, (1,)))


def test_a_server_that_stops_is_not_measured_and_its_last_words_say_why(start: Start) -> None:
    with pytest.raises(NotMeasured, match="it stopped: no port is good enough"):
        measure(tiny("raise SystemExit('no port is good enough')"), start, Plan(1, (1,)))


def test_what_wrk_tells_last_is_read() -> None:
    told = '{"requests": 3000, "microseconds": 1500000, "p50": 250, "p99": 4000, "refused": 0, "broken": 0}'
    assert read(f"Running 1s test\n\n{told}\n") == Turn(rate=2000, p50=0.25, p99=4)


@pytest.mark.parametrize(("requests", "refused", "broken"), [(10, 1, 0), (10, 0, 1), (0, 0, 0)])
def test_one_request_without_a_good_answer_spoils_the_turn(requests: int, refused: int, broken: int) -> None:
    told = f'"requests": {requests}, "refused": {refused}, "broken": {broken}'
    with pytest.raises(NotMeasured, match=f"of {requests} requests {refused} were refused, {broken}"):
        read(f'{{"microseconds": 1, "p50": 1, "p99": 1, {told}}}')


def _found() -> Findings:
    turns = (("ours", 300, 2), ("ours", 310, 3), ("plain", 100, 4), ("slow", 50, 8), ("slow", 40, 7))
    measured = [Measured(row, "small", 16, Turn(rate, p50, 10)) for row, rate, p50 in turns]
    return Findings({"lost": "no wheel | for this\nmachine"}, measured, [Needs("ours", 2, 300), Needs("ours", 1, 302)])


def test_the_best_turn_counts_and_is_compared_with_the_best_of_the_others() -> None:
    figures, load = _found().figures, Load("small", 16)
    assert figures.best["ours", load] == Turn(310, 3, 10)
    assert figures.ratio(rates, "ours", ("plain", "slow"), load) == 3.1
    assert figures.ratio(p50s, "ours", ("slow",), load) == 3 / 8
    assert figures.ratio(rates, "ours", ("lost",), load) is None


@pytest.mark.parametrize(
    ("at_least", "ratio", "told"),
    [(True, 2.0, "2.00"), (True, 1.99, "1.99 missed"), (False, 2.0, "2.00"), (False, 2.01, "2.01 missed")],
)
def test_a_bar_tells_what_misses_it(at_least: bool, ratio: float, told: str) -> None:
    assert Bar(rates, 2, at_least).tells(ratio) == told


def test_who_was_not_measured_has_a_row_that_says_why() -> None:
    field = Field(("ours",), "plain", ("slow", "lost"))
    page = beside_peers(_found(), Loads((SMALL,), (16,)), field, {"ours": "ours 1"})
    assert "| lost | not measured: no wheel / for this machine |" in page
    assert "| ours | 16 numbers | 16 | 6.20 | 3.10 | 1.00 |" in page
    assert "| ours | ours 1 | 1.0 s | 301 MB |" in page


def test_who_failed_once_keeps_no_figures() -> None:
    found = _found()
    found.drop(Contender("ours", (DOOR,), lambda start: ()), "it stopped")
    assert "ours" not in found.figures.rows() and not found.needs
    assert found.missing["ours"] == "it stopped"


def test_each_framework_has_its_server_and_its_release() -> None:
    assert sorted(path.name for path in SERVERS.glob("*.py")) == sorted(f"{one.key}_service.py" for one in FRAMEWORKS)
    assert all("==" in requirement for one in FRAMEWORKS for requirement in one.requirements)
