"""Tensorgate beside other model servers: `python -m tests.benchmarks.peers`.

Builds an environment for each framework (kept under --environments), serves the same two SavedModels with each, one
after another, asks all by wrk with the same inputs, checks the answers against the model in memory before and after
the load, and writes the section of docs/benchmarks.md with its chart. Client and server share this machine. Each
turn starts every contender anew, in an order that the next one turns round; the best of the turns counts.

--only fastapi,bentoml takes some of the peers, and only prints.
--tensorflow-serving HOST:PORT (gRPC), with --tensorflow-serving-rest HOST:PORT, measures the gateway in front of that
server against its REST instead. The server runs on this machine, started for this: tensorflow_model_server
--port=8500 --rest_api_port=8501 --model_config_file=F, where F says `model_config_list {}`.
The gateway alone, over a server that does nothing: `python -m tests.benchmarks.gateway_null`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.page import PAGE, write_section
from tests.benchmarks.peers import report
from tests.benchmarks.peers.chart import draw
from tests.benchmarks.peers.contender import NotMeasured
from tests.benchmarks.peers.frameworks import FRAMEWORKS, PLAIN, Framework
from tests.benchmarks.peers.measuring import Plan
from tests.benchmarks.peers.models import publish
from tests.benchmarks.peers.ours import TENSORGATE, over_tensorflow_serving
from tests.benchmarks.peers.turns import Findings, Schedule, run
from tests.benchmarks.peers.workloads import DIGITS, SMALL, Served
from tests.benchmarks.peers.wrk import missing

ENVIRONMENTS = Path("~/.cache/tensorgate/peers")


def main() -> None:
    """Make the models, measure, print, write."""
    chosen = _options()
    if advice := missing():
        raise SystemExit(advice)
    with TemporaryDirectory() as folder:
        models = [publish(workload, Path(folder) / workload.name) for workload in (SMALL, DIGITS)]
        if chosen.tensorflow_serving:
            _in_front(chosen, models)
        else:
            _beside_peers(chosen, models)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=4, help="of a turn (default 4)")
    options.add_argument("--turns", type=int, default=2, help="of each contender, model and load (default 2)")
    options.add_argument("--environments", type=Path, default=ENVIRONMENTS, help=f"folder (default {ENVIRONMENTS})")
    options.add_argument("--only", help=f"some of {','.join(one.key for one in FRAMEWORKS)}; prints, writes nothing")
    options.add_argument("--print", action="store_true", help="print only")
    options.add_argument("--tensorflow-serving", metavar="HOST:PORT", help="its gRPC address")
    options.add_argument("--tensorflow-serving-rest", metavar="HOST:PORT", default="127.0.0.1:8501")
    return options.parse_args()


def _beside_peers(chosen: argparse.Namespace, models: Sequence[Served]) -> None:
    frameworks = [one for one in FRAMEWORKS if not chosen.only or one.key in chosen.only.split(",")]
    findings = Findings(missing={})
    contenders = [TENSORGATE]
    for framework in frameworks:
        try:
            contenders.append(framework.contender(chosen.environments.expanduser()))
        except NotMeasured as reason:
            findings.missing[framework.name] = str(reason)
    loads = report.Loads([served.workload for served in models], (1, 16, 64))
    schedule = Schedule(chosen.turns, Plan(chosen.seconds, loads.connections))
    run(contenders, models, schedule, findings)
    if TENSORGATE.name in findings.missing:
        raise SystemExit(f"Tensorgate was not measured: {findings.missing[TENSORGATE.name]}")
    field = _field(frameworks)
    versions = {one.name: one.release for one in frameworks}
    text = f"{report.SERVED} {report.measured_by(schedule)}\n\n"
    text += report.beside_peers(findings, loads, field, versions)
    print(text)
    if not chosen.only and not chosen.print:
        draw(findings.figures, loads, field.ours, PAGE.parent / report.CHART)
        write_section("Beside other model servers", text)


def _field(frameworks: Sequence[Framework]) -> report.Field:
    ours = [TENSORGATE.label(door) for door in TENSORGATE.doors]
    return report.Field(ours, PLAIN, [one.name for one in frameworks if one.name != PLAIN])


def _in_front(chosen: argparse.Namespace, models: Sequence[Served]) -> None:
    server = over_tensorflow_serving(chosen.tensorflow_serving, chosen.tensorflow_serving_rest)
    findings = Findings(missing={})
    loads = report.Loads([served.workload for served in models], (1, 32, 64))
    schedule = Schedule(chosen.turns, Plan(chosen.seconds, loads.connections))
    run([server], models, schedule, findings)
    through, own = (server.label(door) for door in server.doors)
    text = f"{report.IN_FRONT} {report.measured_by(schedule)}\n\n{report.in_front(findings, loads, through, own)}"
    print(text)
    if not chosen.print:
        write_section("In front of TensorFlow Serving", text)


if __name__ == "__main__":
    main()
