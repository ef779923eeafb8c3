"""What is read out of the turns: the best of each, ratios, and whether they reach the bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.peers.measuring import Measured
from tests.benchmarks.peers.wrk import Turn

Ratio = Callable[[Turn, Sequence[Turn]], float]


@dataclass(frozen=True)
class Load:
    """Which body, over how many connections."""

    workload: str
    connections: int


@dataclass(frozen=True)
class Figures:
    """The best turn, by requests a second, of each row under each load."""

    best: Mapping[tuple[str, Load], Turn]

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> Figures:
        """From all turns."""
        best: dict[tuple[str, Load], Turn] = {}
        for one in measured:
            key = one.row, Load(one.workload, one.connections)
            if key not in best or one.turn.rate > best[key].rate:
                best[key] = one.turn
        return cls(best)

    def rows(self) -> Sequence[str]:
        """In the order in which they were first measured."""
        return tuple(dict.fromkeys(row for row, _ in self.best))

    def ratio(self, ratio: Ratio, row: str, others: Sequence[str], load: Load) -> float | None:
        """Of that row to those of the others that were measured; None where one side was not."""
        ours = self.best.get((row, load))
        theirs = [self.best[other, load] for other in others if (other, load) in self.best]
        return ratio(ours, theirs) if ours and theirs else None


def rates(ours: Turn, others: Sequence[Turn]) -> float:
    """Requests a second, as many times those of the best other."""
    return ours.rate / max(other.rate for other in others)


def p50s(ours: Turn, others: Sequence[Turn]) -> float:
    """p50, as many times the lowest other."""
    return ours.p50 / min(other.p50 for other in others)


def p99s(ours: Turn, others: Sequence[Turn]) -> float:
    """p99, as many times the lowest other."""
    return ours.p99 / min(other.p99 for other in others)


@dataclass(frozen=True)
class Bar:
    """What a ratio shall be: at least, or at most."""

    ratio: Ratio
    bound: float
    at_least: bool = False

    @property
    def title(self) -> str:
        """The bound in words."""
        return f"({self.bound:g} or {'more' if self.at_least else 'less'})"

    def tells(self, ratio: float | None) -> str:
        """The ratio as a cell, and whether it misses the bar; a dash where nothing was there to compare with."""
        if ratio is None:
            return "-"
        missed = ratio < self.bound if self.at_least else ratio > self.bound
        return f"{ratio:.2f}{' missed' * missed}"
