"""The sections of docs/benchmarks.md, from the findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.page import table
from tests.benchmarks.peers.figures import Bar, Figures, Load, p50s, p99s, rates
from tests.benchmarks.peers.measuring import Needs
from tests.benchmarks.peers.turns import Findings, Schedule
from tests.benchmarks.peers.workloads import DIGITS, Workload

CHART = "peers.svg"

SERVED = """Everybody serves the same two dense networks with one worker, as its documentation says
(`tests/benchmarks/peers`), and is asked by wrk over connections that stay open, one row of JSON a request; logs of
requests are off. Client and server share this machine's processors; Tensorgate is three processes there: gateway, model
server and mirror. All answers were those of the model in memory."""
BARRED = "Tensorgate's figures as ratios to the others' of the same run, and what they shall be:"
NEEDED = """The quickest start, to the first answer of the model; the memory of all processes after the load, what they
share counted once:"""
IN_FRONT = """The gateway in front of a TensorFlow Serving, and that server's own REST, asked by wrk with one row of
JSON a request. Client, gateway and server share this machine's processors."""


@dataclass(frozen=True)
class Field:
    """Which rows are whose."""

    ours: Sequence[str]
    plain: str
    frameworks: Sequence[str]


@dataclass(frozen=True)
class Loads:
    """The bodies and numbers of connections that were measured."""

    workloads: Sequence[Workload]
    connections: Sequence[int]


@dataclass(frozen=True)
class Column:
    """A column of ratios: its head, the bar, and the rows that ours is compared with."""

    head: str
    bar: Bar
    others: Sequence[str]


def beside_peers(findings: Findings, loads: Loads, field: Field, versions: Mapping[str, str]) -> str:
    """The section with all peers, but for how it was measured."""
    figures = findings.figures
    several = (
        Column("requests/s : best framework's", Bar(rates, 3, at_least=True), field.frameworks),
        Column("requests/s : plain FastAPI's", Bar(rates, 2.5, at_least=True), (field.plain,)),
        Column("p99 : lowest of the others'", Bar(p99s, 1), (field.plain, *field.frameworks)),
    )
    alone = (
        Column("p50 : plain FastAPI's", Bar(p50s, 2), (field.plain,)),
        Column("p50 : lowest framework's", Bar(p50s, 1), field.frameworks),
    )
    many = Loads(loads.workloads, [count for count in loads.connections if count > 1])
    return "\n\n".join(
        (
            f"![requests a second of each]({CHART})",
            speeds(figures, loads, findings.missing),
            BARRED,
            ratios(figures, many, field.ours, several),
            ratios(figures, Loads(loads.workloads, (1,)), field.ours, alone),
            NEEDED,
            needs(findings.needs, versions),
        )
    )


def in_front(findings: Findings, loads: Loads, ours: str, own: str) -> str:
    """The section with TensorFlow Serving, but for how it was measured; the bars are for 28x28 numbers."""
    figures = findings.figures
    several = (Column("requests/s : its own REST's", Bar(rates, 1.5, at_least=True), (own,)),)
    alone = (Column("p50 : its own REST's", Bar(p50s, 1.6), (own,)),)
    many = [count for count in loads.connections if count > 1]
    return "\n\n".join(
        (
            speeds(figures, loads, findings.missing),
            ratios(figures, Loads((DIGITS,), many), (ours,), several),
            ratios(figures, Loads((DIGITS,), (1,)), (ours,), alone),
        )
    )


def measured_by(schedule: Schedule) -> str:
    """How the figures came about."""
    return f"Each figure is from the best of {schedule.turns} turns of {schedule.plan.seconds} s."


def speeds(figures: Figures, loads: Loads, missing: Mapping[str, str]) -> str:
    """A table a body: requests a second and latencies at each number of connections, and who has none and why."""
    names = [f"{count} connection{'s' * (count > 1)}: requests/s" for count in loads.connections]
    head = ("", *(cell for name in names for cell in (name, "p50 ms", "p99 ms")))
    tables = []
    for workload in loads.workloads:
        all_loads = [Load(workload.name, count) for count in loads.connections]
        rows = [(row, *(cell for load in all_loads for cell in _cells(figures, row, load))) for row in figures.rows()]
        absent = [(name, f"not measured: {_in_a_cell(reason)}") for name, reason in missing.items()]
        tables.append(f"{workload.title} a request:\n\n{table(head, *rows, *absent)}")
    return "\n".join(tables).strip()


def _cells(figures: Figures, row: str, load: Load) -> Sequence[str]:
    turn = figures.best[row, load]
    return f"{turn.rate:,.0f}", f"{turn.p50:.2f}", f"{turn.p99:.2f}"


def _in_a_cell(reason: str) -> str:
    return " ".join(reason.replace("|", "/").split())[:200]


def ratios(figures: Figures, loads: Loads, ours: Sequence[str], columns: Sequence[Column]) -> str:
    """A line for each of our rows and each load, a cell for each bar."""
    head = ("", "a request", "connections", *(f"{column.head} {column.bar.title}" for column in columns))
    lines = [
        (row, workload.title, str(count), *(_ratio(figures, row, Load(workload.name, count), one) for one in columns))
        for row in ours
        for workload in loads.workloads
        for count in loads.connections
    ]
    return table(head, *lines).strip()


def _ratio(figures: Figures, row: str, load: Load, column: Column) -> str:
    return column.bar.tells(figures.ratio(column.bar.ratio, row, column.others, load))


def needs(found: Sequence[Needs], versions: Mapping[str, str]) -> str:
    """Time to ready and memory, each with what was measured."""
    by_name: dict[str, list[Needs]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    rows = [
        (
            name,
            versions.get(name, "this one"),
            f"{min(one.ready for one in several):.1f} s",
            f"{median(one.megabytes for one in several):,.0f} MB",
        )
        for name, several in by_name.items()
    ]
    return table(("", "release", "ready after", "memory"), *rows).strip()
