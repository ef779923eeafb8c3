"""What a person sees while a run goes on: a bar with the time left on a terminal, plain lines in a log."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_SILENCE_SECONDS = 10.0
# What PlainProgress prints.
_EPOCH_LINE = re.compile(r"(.+) epoch (\d+)/(\d+) (.*) eta (\d+) s")
_SHARE_LINE = re.compile(r"training (\d+)% eta \d+ s")


def figures_text(figures: Mapping[str, float]) -> str:
    """`loss 0.1234 accuracy 0.97`."""
    return " ".join(f"{name} {value:.4g}" for name, value in figures.items())


@dataclass(frozen=True)
class EpochDone:
    """One epoch of one model, and how long the run will go on training."""

    stage: str
    epoch: int  # counted from 1
    epochs: int
    figures: Mapping[str, float]
    seconds_left: float

    def __str__(self) -> str:
        return (
            f"{self.stage} epoch {self.epoch}/{self.epochs} {figures_text(self.figures)} eta {self.seconds_left:.0f} s"
        )


class RunProgress(Protocol):
    """Who is told how a run goes."""

    def step(self, text: str) -> None:
        """A step begins, or has a result."""
        ...

    def batch(self, share: float) -> None:
        """So much of the model's training is done, 0 to 1."""
        ...

    def epoch(self, done: EpochDone) -> None:
        """An epoch is done."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class PlainProgress:
    """A line each, for logs and pipes; `clock` is monotonic, in seconds."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._said = clock()
        self._begun: tuple[float, float] | None = None  # when this model's training was first heard of, and how far on

    def step(self, text: str) -> None:
        """Print it."""
        self._said = self._clock()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def batch(self, share: float) -> None:
        """A line where an epoch takes so long that a person would wonder."""
        now = self._clock()
        if self._begun is None or share <= self._begun[1]:  # the next model's training begins
            self._begun = (now, share)
        elif now - self._said >= _SILENCE_SECONDS:
            since, before = self._begun
            left = (now - since) * (1 - share) / (share - before)
            self.step(f"training {share:.0%} eta {left:.0f} s")

    def epoch(self, done: EpochDone) -> None:
        """Print its figures."""
        self.step(str(done))

    def close(self) -> None:
        """Nothing to take away."""


class BarProgress(PlainProgress):
    """The same lines above a bar that moves with each batch."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        super().__init__(console, clock)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("eta"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task: TaskID | None = None

    def batch(self, share: float) -> None:
        """Move the bar."""
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("training", total=1.0)
        self._bar.update(self._task, completed=share)

    def step(self, text: str) -> None:
        """Print it in place of the bar, which comes back with the next batch."""
        self.close()
        super().step(text)

    def epoch(self, done: EpochDone) -> None:
        """Print its figures above the bar."""
        PlainProgress.step(self, str(done))

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._bar.stop()
            self._task = None


def progress_on(console: Console, clock: Callable[[], float]) -> RunProgress:
    """A bar if a person watches, else lines."""
    return BarProgress(console, clock) if console.is_terminal else PlainProgress(console, clock)


def tell_again(line: str, progress: RunProgress) -> None:
    """Tell `progress` what a PlainProgress elsewhere printed: the same lines, and a bar as far as they say."""
    if share := _SHARE_LINE.fullmatch(line):
        progress.batch(int(share[1]) / 100)
    elif (epoch := _EPOCH_LINE.fullmatch(line)) and len(words := epoch[4].split()) % 2 == 0:
        number, epochs = int(epoch[2]), int(epoch[3])
        figures = dict(zip(words[::2], map(float, words[1::2]), strict=True))
        progress.epoch(EpochDone(epoch[1], number, epochs, figures, float(epoch[5])))
        progress.batch(number / epochs)
    else:
        progress.step(line)
