"""What traces cost the gateway: its processor time a request without collector, and with one, in turns.

Run: python -m tests.benchmarks.traces [--seconds 2] [--turns 5] [--without COMMIT] prints medians and their ratios.
`without` is the gateway of a commit, by default the last one that knew nothing of traces (what else has changed since
shows, too); `off` is this one without a collector, `1 %` and `all` sample so many of the requests. One gateway of each
kind runs all the time and has its turn with the load, so a machine that is busy now and then is so for all.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.gateway_null import (
    GRPC_IN_FLIGHT,
    answered_calls,
    asks,
    calls,
    cpu_seconds,
    looked_at,
    process,
    publish,
)
from tests.benchmarks.load import check_installed, grpc_load, http_load
from tests.gateway.collector import collecting

ROOT = Path(__file__).parents[2]
HTTP, RPC = ":predict, one number", "gRPC Predict, 28x28"
CONNECTIONS = 32
KINDS = ("without", "off", "1 %", "all")
SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}


@dataclass
class Gateway:
    """One kind of gateway, as a process; `spent` is microseconds of its processor a request, by request and turn."""

    pid: int
    http: int
    grpc: int
    spent: dict[str, list[float]] = field(default_factory=lambda: {HTTP: [], RPC: []})

    def drive(self, seconds: int) -> None:
        """One turn."""
        before = cpu_seconds(self.pid)
        load = http_load(self.http, asks()[HTTP], CONNECTIONS, seconds)
        self.spent[HTTP].append((cpu_seconds(self.pid) - before) / load.requests * 1e6)
        before, answered = cpu_seconds(self.pid), answered_calls(self.http)
        grpc_load(self.grpc, *calls()[RPC], GRPC_IN_FLIGHT, seconds)
        took = cpu_seconds(self.pid) - before
        self.spent[RPC].append(took / (answered_calls(self.http) - answered) * 1e6)


def main() -> None:
    """Print a line a kind of request and gateway."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options.add_argument("--without", default="", help="the commit to compare with")
    chosen = options.parse_args()
    check_installed("wrk", "h2load")
    with ExitStack() as stack:
        gateways = dict(_gateways(stack, chosen.without or _before_traces(), chosen.kinds))
        time.sleep(1)  # the first poll finds the model
        for gateway in gateways.values():
            looked_at(gateway.http, asks()[HTTP])
            gateway.drive(1)
            for spent in gateway.spent.values():
                spent.clear()  # its first requests are slower
        in_turn = list(gateways.values())
        for _ in range(chosen.turns):
            for gateway in in_turn:
                gateway.drive(chosen.seconds)
            in_turn.reverse()  # what the one before leaves behind meets each
    for request in (HTTP, RPC):
        first = statistics.median(gateways[chosen.kinds[0]].spent[request])
        for name, gateway in gateways.items():
            middle = statistics.median(gateway.spent[request])
            print(f"{request:<24} {name:<8} {middle:6.0f} us   {middle / first:.3f} of {chosen.kinds[0]}")


def _gateways(stack: ExitStack, commit: str, chosen: Sequence[str]) -> Iterator[tuple[str, Gateway]]:
    folder, old = (Path(stack.enter_context(TemporaryDirectory())) for _ in range(2))
    publish(folder)
    archive = subprocess.run(["git", "archive", commit, "services"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(old, filter="data")
    _, server = stack.enter_context(process("-m", "tests.benchmarks.gateway_null", "--null-server"))
    collector = stack.enter_context(collecting())
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    kinds: Mapping[str, tuple[Path, Mapping[str, str]]] = {
        "without": (old, {}),
        "off": (ROOT, {}),
        "1 %": (ROOT, {**traced, **SAMPLER, "OTEL_TRACES_SAMPLER_ARG": "0.01"}),
        "all": (ROOT, traced),
    }
    for name in chosen:
        code, environment = kinds[name]
        pid, ports = stack.enter_context(
            process(
                *("-m", "services.gateway"),
                code=code,
                environment=environment,
                store=folder,
                model_server=server["address"],
                http_port=0,
                grpc_port=0,
            )
        )
        yield name, Gateway(pid, ports["http_port"], ports["grpc_port"])


def _before_traces() -> str:
    told = ("git", "log", "--diff-filter=A", "--format=%H^", "--", "services/gateway/tracing.py")
    return subprocess.run(told, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()[-1]


if __name__ == "__main__":
    main()
