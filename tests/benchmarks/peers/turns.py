"""All turns of all contenders, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.peers.contender import Contender, NotMeasured, Start
from tests.benchmarks.peers.figures import Figures
from tests.benchmarks.peers.measuring import Measured, Needs, Plan, measure
from tests.benchmarks.peers.workloads import Served
from tests.ports import free_port


@dataclass
class Findings:
    """What the turns have found so far; `missing` tells why who has no figures."""

    missing: dict[str, str]
    measured: list[Measured] = field(default_factory=list)
    needs: list[Needs] = field(default_factory=list)

    @property
    def figures(self) -> Figures:
        """The best turns."""
        return Figures.of(self.measured)

    def add(self, measured: Sequence[Measured], needs: Needs) -> None:
        """Keep, and print."""
        self.measured += measured
        self.needs.append(needs)
        for one in measured:
            shown = f"{one.turn.rate:8,.0f}/s  p50 {one.turn.p50:7.2f} ms  p99 {one.turn.p99:8.2f} ms"
            print(f"{one.row:40}{one.workload:8}{one.connections:4}  {shown}", flush=True)

    def drop(self, contender: Contender, reason: str) -> None:
        """Who failed once has no figures at all."""
        print(f"{contender.name}: {reason}", flush=True)
        rows = {contender.label(door) for door in contender.doors}
        self.missing[contender.name] = reason
        self.measured = [one for one in self.measured if one.row not in rows]
        self.needs = [one for one in self.needs if one.name != contender.name]


@dataclass(frozen=True)
class Schedule:
    """Turns of each, and what one turn is."""

    turns: int
    plan: Plan


def run(contenders: Sequence[Contender], models: Sequence[Served], schedule: Schedule, findings: Findings) -> None:
    """Each turn starts every contender anew, for each model; every other turn in reverse order."""
    for turn in range(schedule.turns):
        for contender in contenders[:: -1 if turn % 2 else 1]:
            for served in models:
                if contender.name not in findings.missing:
                    _once(contender, served, schedule.plan, findings)


def _once(contender: Contender, served: Served, plan: Plan, findings: Findings) -> None:
    with TemporaryDirectory() as folder:
        try:
            measured, needs = measure(contender, Start(served, free_port(), Path(folder)), plan)
        except NotMeasured as reason:
            findings.drop(contender, str(reason))
        else:
            findings.add(measured, needs)
