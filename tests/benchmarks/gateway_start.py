"""From starting the gateway's process to ready, in seconds of the clock and of the processor, and its idle memory.

Run: python -m tests.benchmarks.gateway_start [--times 5] writes docs/benchmarks.md.
A model server of tiny models is there already, as it is when a gateway is replaced. Bars: ready within 1 s, 80 MiB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tests.benchmarks.page import write_section
from tests.gateway.models import publish_all
from tests.gateway.test_process import MODEL_SERVER, started
from tests.polling import until


def start(store: Path, model_server: str) -> tuple[float, float, float]:
    """Seconds to ready, processor seconds, MiB resident."""
    began = time.monotonic()
    command = [sys.executable, "-m", "services.gateway"]
    with started(command, store=store, model_server=model_server, http_port=0, grpc_port=0) as (process, ports):
        ready = f"http://127.0.0.1:{ports['http_port']}/readyz"
        until(lambda: httpx.get(ready).status_code == 200, seconds=30)
        took = time.monotonic() - began
        proc = Path(f"/proc/{process.pid}")
        user, system = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
        pages = int((proc / "statm").read_text().split()[1])
    worked = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return took, worked, pages * os.sysconf("SC_PAGESIZE") / 2**20


def main() -> None:
    """Print the median of several starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    with TemporaryDirectory() as folder, started([sys.executable, str(MODEL_SERVER), "0"]) as (_, server):
        publish_all(folder)
        ready, worked, memory = map(
            statistics.median, zip(*(start(Path(folder), server["address"]) for _ in range(times)), strict=True)
        )
    text = (
        f"Median of {times} starts beside a model server: ready after {ready:.2f} s, {worked:.2f} s of processor time, "
        f"{memory:.0f} MiB resident."
    )
    print(text)
    write_section("The gateway's start", f"{text}\nBars: 1 s, 80 MiB.")


if __name__ == "__main__":
    main()
