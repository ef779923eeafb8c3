"""Who takes part: how it is started, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.core.tensors import Array
from tests.benchmarks.peers.workloads import Served


class NotMeasured(Exception):
    """A contender has no figures, and this is why; its row says so."""


@dataclass(frozen=True)
class Door:
    """One way to ask over REST.

    `path` may hold {model}. `body` makes the JSON of one input; `scores` reads those of the one answer from its JSON.
    `base` is where it is, if not at the port that the contender was given.
    """

    path: str
    body: Callable[[Array], Any]
    scores: Callable[[Any], Any]
    title: str = ""
    base: str = ""

    def url(self, model: str, port: int) -> str:
        """The whole address."""
        return (self.base or f"http://127.0.0.1:{port}") + self.path.format(model=model)


@dataclass(frozen=True)
class Process:
    """A command, and the whole environment it is run in."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """What a contender is started for: a model, the port to listen on, and a folder of its own to write into."""

    served: Served
    port: int
    folder: Path


@dataclass(frozen=True)
class Contender:
    """Its name, its doors, what is run before (uncounted), and the processes that then serve one model."""

    name: str
    doors: Sequence[Door]
    processes: Callable[[Start], Sequence[Process]]
    before: Callable[[Start], None] = lambda _: None

    def label(self, door: Door) -> str:
        """The name of a row."""
        return f"{self.name}, {door.title}" if door.title else self.name
