"""The model's diagram: a box a layer with its output shape and parameters, drawn from input to output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.patches import FancyBboxPatch

from services.trainer.report.drawing import BLUE, GRID, INK, MUTED, PAPER, new_figure, to_png

_WIDTH, _HEIGHT, _GAP = 2.9, 0.62, 0.26  # inches of a box, and between boxes


@dataclass(frozen=True)
class Box:
    """One layer: what it is and where it stands; `inputs` are numbers of boxes."""

    name: str
    kind: str
    shape: str
    parameters: int
    inputs: tuple[int, ...] = ()


def boxes_of(model: Any) -> list[Box]:
    """The layers in order. A model without a graph of its own (a subclass) shows its parts, one after another."""
    boxes: list[Box] = []
    _add(model, boxes)
    return boxes


def _add(model: Any, boxes: list[Box]) -> None:
    known = {id(layer) for layer in model.layers}
    feeders = {id(layer): _feeders(layer, known) for layer in model.layers}
    linked = any(feeders.values())
    numbers: dict[int, int] = {}
    for layer in model.layers:
        if not linked and getattr(layer, "layers", None):
            _add(layer, boxes)
            continue
        numbers[id(layer)] = len(boxes)
        inputs = tuple(numbers[feeder] for feeder in feeders[id(layer)] if feeder in numbers)
        boxes.append(Box(layer.name, type(layer).__name__, _shape(layer), layer.count_params(), inputs))


def _feeders(layer: Any, known: set[int]) -> tuple[int, ...]:
    # The graph has no public reader; keras.utils.plot_model reads it in this way too.
    nodes = getattr(layer, "_inbound_nodes", ())
    parents = (id(parent.operation) for node in nodes for parent in node.parent_nodes)
    return tuple(dict.fromkeys(parent for parent in parents if parent in known))


def _shape(layer: Any) -> str:
    try:
        shape = layer.output.shape
    except AttributeError:  # several outputs, or never called with one
        return ""
    return " x ".join("?" if size is None else str(size) for size in shape[1:]) or "1"


def draw_diagram(model: Any) -> bytes:
    """PNG of the model from top to bottom; branches stand side by side."""
    boxes = boxes_of(model)
    places = _places(boxes)
    columns = max((column for column, _ in places), default=0) + 1
    rows = max((row for _, row in places), default=0) + 1
    width, height = columns * (_WIDTH + _GAP) + _GAP, rows * (_HEIGHT + _GAP) + _GAP
    figure = new_figure(width, height, placed=True)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    corners = [(_GAP + c * (_WIDTH + _GAP), _GAP + r * (_HEIGHT + _GAP)) for c, r in places]
    for box, corner in zip(boxes, corners, strict=True):
        for parent in box.inputs:
            _arrow(axes, corners[parent], corner)
        _draw_box(axes, box, corner)
    return to_png(figure)


def _places(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """(column, row) of each box: below all it takes; a box that takes nothing starts a column, or follows the rest."""
    taken: dict[int, int] = defaultdict(int)
    depths: list[int] = []
    places = []
    chained = any(box.inputs for box in boxes)
    for number, box in enumerate(boxes):
        depth = max((depths[parent] + 1 for parent in box.inputs), default=0 if chained else number)
        depths.append(depth)
        places.append((taken[depth], depth))
        taken[depth] += 1
    return places


def _draw_box(axes: Any, box: Box, corner: tuple[float, float]) -> None:
    x, y = corner
    face = PAPER if box.parameters else "white"
    edge = BLUE if box.parameters else GRID
    shape = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch(corner, _WIDTH, _HEIGHT, boxstyle=shape, facecolor=face, edgecolor=edge, lw=1.2))
    axes.text(x + 0.14, y + 0.24, box.kind, color=INK, fontsize=9.5, fontweight="bold", va="center")
    axes.text(x + 0.14, y + 0.45, box.name, color=MUTED, fontsize=7.5, va="center")
    right = x + _WIDTH - 0.14
    axes.text(right, y + 0.24, box.shape, color=INK, fontsize=8.5, va="center", ha="right")
    if box.parameters:
        axes.text(right, y + 0.45, f"{box.parameters:,} parameters", color=BLUE, fontsize=7.5, va="center", ha="right")


def _arrow(axes: Any, above: tuple[float, float], below: tuple[float, float]) -> None:
    start = (above[0] + _WIDTH / 2, above[1] + _HEIGHT)
    end = (below[0] + _WIDTH / 2, below[1])
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": MUTED, "lw": 1, "shrinkA": 0, "shrinkB": 0})
