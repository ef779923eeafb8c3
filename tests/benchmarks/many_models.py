"""What a gateway of thousands of models costs: `python -m tests.benchmarks.many_models` writes docs/benchmarks.md.

A gateway process over a model server that has its answer ready. Requests come one each few milliseconds, whether or not
the one before was slow, so that every pause of the gateway is seen.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvloop

from services.core.card import CARD_PATH
from services.store import Store, open_store
from tests.benchmarks.gateway_null import NullServer, cpu_seconds, null_model, process, serve
from tests.benchmarks.page import table, write_section
from tests.gateway.models import card_of

EACH_SECONDS = 0.004
HEAD = (
    "models",
    "ready, s",
    "processor at rest, %",
    "p50, ms",
    "p99, ms",
    "longest, ms",
    "longest beside `/metrics`, ms",
    "`/metrics`, kB",
)
NOTE = """
`python -m tests.benchmarks.many_models`: one gateway process over a model server that has its answer ready and as many
models, all of them asked once before. It looks at all labels and at 32 models twice a second. A request each 4 ms,
whatever became of the one before it; `/metrics` is read once a second.
"""
BODY, JSON = b'{"instance": {"x": 1.5}}', {"Content-Type": "application/json"}


def name_of(number: int) -> str:
    """A model's."""
    return f"m{number:05}"


def fill(store: Store, models: int) -> None:
    """Each model has one version, labelled."""

    def publish(number: int) -> None:
        with TemporaryDirectory() as folder:
            card = Path(folder) / CARD_PATH
            card.parent.mkdir()
            card.write_text(card_of(name_of(number), null_model()).model_dump_json())
            store.move_label(name_of(number), "stable", store.publish(name_of(number), Path(folder)))

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(publish, range(models)))


def ask(port: int, path: str, body: bytes | None = None) -> bytes:
    """The answer to one request. Raises AssertionError when it is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET" if body is None else "POST", path, body, JSON)
    reply = connection.getresponse()
    read = reply.read()
    connection.close()
    assert reply.status == 200, read
    return read


def regress(port: int, models: int, number: int) -> None:
    """A request of one model, by turns."""
    ask(port, f"/api/models/{name_of(number % models)}/regress", BODY)


def paced(request: Callable[[int], object], seconds: float) -> Sequence[float]:
    """Milliseconds of each answer, from when the request was due; each is told its number."""

    def one(due: float, number: int) -> float:
        time.sleep(max(due - time.perf_counter(), 0))
        request(number)
        return (time.perf_counter() - due) * 1000

    began = time.perf_counter() + 0.1
    with ThreadPoolExecutor(64) as pool:
        numbers = range(int(seconds / EACH_SECONDS))
        return list(pool.map(one, (began + number * EACH_SECONDS for number in numbers), numbers))


def until_all_answer(port: int, models: int) -> None:
    """Return when each model can be called."""
    while sum(bool(one["versions"]) for one in json.loads(ask(port, "/api/models"))["models"]) < models:
        time.sleep(0.2)


def measured(models: int, seconds: float) -> Iterator[str]:
    """A row of the table."""
    with TemporaryDirectory() as folder:
        fill(open_store(folder), models)
        with process("-m", "tests.benchmarks.many_models", "--server", str(models)) as (_, server):
            began = time.perf_counter()
            gateway = {"store": folder, "model_server": server["address"], "http_port": 0, "grpc_port": 0}
            with process("-m", "services.gateway", **gateway) as (pid, ports):
                port = ports["http_port"]
                until_all_answer(port, models)
                yield f"{models:,}"
                yield f"{time.perf_counter() - began:.1f}"
                before = cpu_seconds(pid)
                time.sleep(seconds)
                yield f"{(cpu_seconds(pid) - before) / seconds * 100:.0f}"
                asked = partial(regress, port, models)
                for number in range(models):
                    asked(number)
                took = paced(asked, seconds)
                yield from (f"{value:.1f}" for value in (*np.percentile(took, (50, 99)), max(took)))
                with ThreadPoolExecutor(1) as pool:
                    load = pool.submit(paced, asked, seconds)
                    while not load.done():
                        page = subprocess.check_output(["curl", "-s", f"http://127.0.0.1:{port}/metrics"])
                        time.sleep(1)
                yield f"{max(load.result()):.1f}"
                yield f"{len(page) / 1000:,.0f}"


def main() -> None:
    """Print a row for each number of models, and write them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", type=int, nargs="+", default=[1, 1000, 3000])
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--server", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.server is not None:
        uvloop.run(serve(NullServer({name_of(number): {1: null_model()} for number in range(chosen.server)})))
    print(*HEAD, sep=" | ", file=sys.stderr)
    rows = []
    for models in chosen.models:
        rows.append(tuple(measured(models, chosen.seconds)))
        print(*rows[-1], sep=" | ", flush=True)
    if vars(chosen) == vars(options.parse_args([])):
        write_section("Thousands of models", f"{NOTE}\n{table(HEAD, *rows)}")


if __name__ == "__main__":
    main()
