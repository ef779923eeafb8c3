"""What everybody serves: two dense networks, in values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.core.tensors import Array

FIELD = "numbers"


@dataclass(frozen=True)
class Workload:
    """A dense network with random weights: the shape of an input, units of the hidden layer, number of scores."""

    name: str
    title: str
    shape: tuple[int, ...]
    hidden: int
    scores: int


SMALL = Workload("small", "16 numbers", (16,), hidden=64, scores=4)
DIGITS = Workload("digits", "28x28 numbers", (28, 28), hidden=512, scores=10)  # the book's listing 2.2


@dataclass(frozen=True)
class Served:
    """A workload's SavedModel, the home folder with the store it was published in, inputs float64
    [INPUTS, *shape] of four digits each, as a person would send, and the answers of the model in memory."""

    workload: Workload
    saved_model: Path
    home: Path
    inputs: Array
    answers: Array
