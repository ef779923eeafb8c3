"""What traces cost the gateway: its processor time a request without collector, and with one, in turns.

Run: python -m tests.benchmarks.traces [--seconds 2] [--turns 9] [--kinds without off] [--without COMMIT] prints medians
and lowest, and their ratios to the first. `without` is the gateway of a commit, by default the last one that knew
nothing of traces (what else has changed since shows, too); `off` is this one without a collector, `1 %` and `all`
sample so many of the requests. Each turn has processes of its own, one a kind: two of the same code differ by several
per cent, on a busy machine by twenty. To see by how much, compare off with itself: --without HEAD.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import tarfile
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
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
from tests.polling import until

ROOT = Path(__file__).parents[2]
HTTP, RPC = ":predict, one number", "gRPC Predict, 28x28"
CONNECTIONS = 32
KINDS = ("without", "off", "1 %", "all")
SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}

Spent = Mapping[str, float]  # microseconds of a gateway's processor, by request


@dataclass(frozen=True)
class Place:
    """What gateways are started from and with: this code, that of the other commit, a store, a model server, a
    collector.
    """

    old: Path
    store: Path
    model_server: str
    collector: str

    def kind(self, name: str) -> tuple[Path, Mapping[str, str]]:
        """The code and the environment of one kind of gateway."""
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector}
        return {
            "without": (self.old, {}),
            "off": (ROOT, {}),
            "1 %": (ROOT, {**traced, **SAMPLER, "OTEL_TRACES_SAMPLER_ARG": "0.01"}),
            "all": (ROOT, traced),
        }[name]


def main() -> None:
    """Print a line a request and kind of gateway."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--turns", type=int, default=9)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options.add_argument("--without", default="", help="the commit to compare with")
    chosen = options.parse_args()
    check_installed("wrk", "h2load")
    told: dict[str, list[Spent]] = {name: [] for name in chosen.kinds}
    with ExitStack() as stack:
        place = _place(stack, chosen.without or _before_traces())
        order = list(chosen.kinds)
        for _ in range(chosen.turns):
            for name in order:
                told[name].append(_spent(place, name, chosen.seconds))
            order.reverse()
    for request in (HTTP, RPC):
        first = sorted(spent[request] for spent in told[chosen.kinds[0]])
        for name in chosen.kinds:
            spent = sorted(one[request] for one in told[name])
            middle, lowest = statistics.median(spent), spent[0]
            ratios = f"{middle / statistics.median(first):.3f}, lowest {lowest / first[0]:.3f}, of {chosen.kinds[0]}"
            print(f"{request:<24} {name:<8} {middle:6.1f} us, lowest {lowest:6.1f} us   {ratios}")


def _spent(place: Place, name: str, seconds: int) -> Spent:
    """Of one gateway, from its start to its end."""
    code, environment = place.kind(name)
    settings = {"store": place.store, "model_server": place.model_server, "http_port": 0, "grpc_port": 0}
    with process("-m", "services.gateway", code=code, environment=environment, **settings) as (pid, ports):
        http, grpc = ports["http_port"], ports["grpc_port"]
        until(lambda: _knows_models(http), seconds=20)
        looked_at(http, asks()[HTTP])
        http_load(http, asks()[HTTP], CONNECTIONS, 1)  # the first requests are slower
        before = cpu_seconds(pid)
        load = http_load(http, asks()[HTTP], CONNECTIONS, seconds)
        of_http = (cpu_seconds(pid) - before) / load.requests
        before, answered = cpu_seconds(pid), answered_calls(http)
        grpc_load(grpc, *calls()[RPC], GRPC_IN_FLIGHT, seconds)
        of_rpc = (cpu_seconds(pid) - before) / (answered_calls(http) - answered)
    return {HTTP: of_http * 1e6, RPC: of_rpc * 1e6}


def _knows_models(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/models") as page:
        return any(model["versions"] for model in json.load(page)["models"])


def _place(stack: ExitStack, commit: str) -> Place:
    store, old = (Path(stack.enter_context(TemporaryDirectory())) for _ in range(2))
    publish(store)
    archive = subprocess.run(["git", "archive", commit, "services"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(old, filter="data")
    _, server = stack.enter_context(process("-m", "tests.benchmarks.gateway_null", "--null-server"))
    return Place(old, store, server["address"], stack.enter_context(collecting()).endpoint)


def _before_traces() -> str:
    told = ("git", "log", "--diff-filter=A", "--format=%H^", "--", "services/gateway/tracing.py")
    return subprocess.run(told, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()[-1]


if __name__ == "__main__":
    main()
