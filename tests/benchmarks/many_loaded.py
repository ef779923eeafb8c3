"""What a thousand loaded models cost the embedded model server and its mirror.

`python -m tests.benchmarks.many_loaded` writes docs/benchmarks.md. Requests come one each few milliseconds, whether or
not the one before was slow, so that every pause of the server is seen.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from services.store import Store, open_store
from tests.benchmarks.gateway_null import cpu_seconds, process
from tests.benchmarks.many_models import ask, name_of, paced
from tests.benchmarks.page import table, write_section
from tests.polling import until
from tests.saved_models import write_affine

MORE = 50
HEAD = (
    "models",
    "loaded, s",
    "server, MiB",
    "mirror at rest, %",
    "p50, ms",
    "p99, ms",
    "longest, ms",
    f"longest while {MORE} come, ms",
    "while they go, ms",
    "beside the page, ms",
    "page, kB",
)
NOTE = f"""
`python -m tests.benchmarks.many_loaded`: the embedded model server, and a mirror that brings it tiny models from
a folder. A REST request each 4 ms, whatever became of the one before it: at rest, while {MORE} more models are loaded,
while they are unloaded, and while the page of metrics, of all models, is read once a second.
"""
BODY = b'{"instances": [1.5]}'
PAGE = "/monitoring/prometheus/metrics"
MONITORING = f'prometheus_config {{ enable: true, path: "{PAGE}" }}'
AVAILABLE = "tensorgate_mirror_available_versions "


def publish(store: Store, folder: Path, numbers: range) -> None:
    """The same model under many names."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: store.publish(name_of(number), folder), numbers))


def release(store: Store, numbers: range) -> None:
    """These are wanted."""
    for number in numbers:
        store.move_label(name_of(number), "stable", 1)


def withdraw(store: Store, numbers: range) -> None:
    """Nobody wants these any more."""
    for number in numbers:
        store.remove_label(name_of(number), "stable")


def available(port: int) -> int:
    """How many of the wanted versions a mirror has seen loaded."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    return int(next(float(line.split()[1]) for line in lines if line.startswith(AVAILABLE)))


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def beside(load: Callable[[], Sequence[float]], work: Callable[[], object], pause: float) -> str:
    """The longest answer of a load, while something is done again and again."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(load)
        while not running.done():
            work()
            time.sleep(pause)
    return f"{max(running.result()):.1f}"


def once(work: Callable[[], object]) -> Callable[[], object]:
    """The first time it does the work, then nothing."""
    todo = [work]
    return lambda: todo.pop()() if todo else None


def load(port: int, models: int, seconds: float) -> Callable[[], Sequence[float]]:
    """Requests for all models by turns."""
    return lambda: paced(lambda number: ask(port, f"/v1/models/{name_of(number % models)}:predict", BODY), seconds)


def measured(models: int, seconds: float) -> Iterator[str]:
    """A row of the table."""
    with TemporaryDirectory() as home:
        folder, store = Path(home), open_store(f"{home}/store")
        (folder / "monitoring").write_text(MONITORING)
        more = range(models, models + MORE)
        publish(store, write_affine(folder / "model", 2.0, 1.0), range(more.stop))
        release(store, range(models))
        flags = ("--port=0", "--rest_api_port=0", f"--monitoring_config_file={folder / 'monitoring'}")
        with process("-m", "services.model_server", *flags) as (server, ports):
            settings = {
                "TENSORGATE_MIRROR_STORE": f"{home}/store",
                "TENSORGATE_MIRROR_FOLDER": f"{home}/mirror",
                "TENSORGATE_MIRROR_MODEL_SERVER": f"127.0.0.1:{ports['grpc_port']}",
                "TENSORGATE_MIRROR_METRICS_PORT": "0",
                "TENSORGATE_MIRROR_GRACE_SECONDS": "0",
            }
            began = time.perf_counter()
            with process("-m", "services.mirror", environment=settings) as (mirror, told):
                until(lambda: available(told["metrics_port"]) == models, 200)
                yield f"{models:,}"
                yield f"{time.perf_counter() - began:.1f}"
                asked = load(ports["rest_port"], models, seconds)
                for number in range(models):
                    ask(ports["rest_port"], f"/v1/models/{name_of(number)}:predict", BODY)
                yield f"{resident(server):,.0f}"
                before = cpu_seconds(mirror)
                time.sleep(seconds)
                yield f"{(cpu_seconds(mirror) - before) / seconds * 100:.0f}"
                took = asked()
                yield from (f"{value:.1f}" for value in (*np.percentile(took, (50, 99)), max(took)))
                yield beside(asked, once(lambda: release(store, more)), 0.1)
                yield beside(asked, once(lambda: withdraw(store, more)), 0.1)
                page = ("curl", "-s", f"http://127.0.0.1:{ports['rest_port']}{PAGE}")
                yield beside(asked, lambda: subprocess.check_output(page), 1)
                yield f"{len(subprocess.check_output(page)) / 1000:,.0f}"


def main() -> None:
    """Print a row for each number of models, and write them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", type=int, nargs="+", default=[1, 300, 1000])
    options.add_argument("--seconds", type=float, default=5)
    chosen = options.parse_args()
    print(*HEAD, sep=" | ", file=sys.stderr)
    rows = []
    for models in chosen.models:
        rows.append(tuple(measured(models, chosen.seconds)))
        print(*rows[-1], sep=" | ", flush=True)
    if vars(chosen) == vars(options.parse_args([])):
        write_section("A thousand loaded models", f"{NOTE}\n{table(HEAD, *rows)}")


if __name__ == "__main__":
    main()
