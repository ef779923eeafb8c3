"""A model drawn as boxes: each layer's name, kind, output shape and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from services.trainer.pictures import FAINT, FILL, INK, OURS, canvas, plain, png_of

_BOX_WIDTH, _BOX_HEIGHT, _ROW, _COLUMN = 3.4, 0.5, 0.74, 3.7
_MOST_ROWS = 100  # a taller picture is more than one can draw, or read


@dataclass(frozen=True)
class Box:
    """One layer: where it stands, what it says, and the boxes that feed it."""

    name: str
    kind: str
    shape: str
    parameters: int
    row: int
    column: int
    fed_by: tuple[str, ...]


def diagram(model: Any) -> bytes:
    """The layers of a `keras.Model`, top to bottom, as PNG; a nested model is one box."""
    boxes = [box for box in boxes_of(model) if box.row < _MOST_ROWS]
    rows = max((box.row for box in boxes), default=0) + 1
    columns = max((box.column for box in boxes), default=0) + 1
    figure = canvas(columns * _COLUMN + 0.4, rows * _ROW + 0.6)
    axes = figure.subplots()
    plain(axes, f"{model.count_params():,} parameters")
    axes.set_axis_off()
    axes.set_xlim(-_COLUMN / 2, (columns - 0.5) * _COLUMN)
    axes.set_ylim(-(rows - 1) * _ROW - _BOX_HEIGHT, _BOX_HEIGHT)
    axes.set_aspect("equal")
    places = {box.name: (box.column * _COLUMN, -box.row * _ROW) for box in boxes}
    for box in boxes:
        _draw(axes, box, places)
    return png_of(figure)


def boxes_of(model: Any) -> Sequence[Box]:
    """A box a layer, each below all that feed it; a model without a graph of layers is a column of them."""
    layers = list(model.layers)
    known = {layer.name for layer in layers}
    fed_by = {layer.name: _feeders(layer, known) for layer in layers}
    rows = _rows(fed_by) if any(fed_by.values()) else {layer.name: row for row, layer in enumerate(layers)}
    taken: dict[int, int] = {}
    boxes = []
    for layer in layers:
        row = rows[layer.name]
        column = taken.get(row, 0)
        taken[row] = column + 1
        kind, shape = type(layer).__name__, _shape(layer)
        boxes.append(Box(layer.name, kind, shape, layer.count_params(), row, column, fed_by[layer.name]))
    return boxes


def _feeders(layer: Any, known: set[str]) -> tuple[str, ...]:
    # The graph has no public reader; keras.utils.plot_model reads it in this way too.
    nodes = getattr(layer, "_inbound_nodes", ())
    names = (parent.operation.name for node in nodes for parent in node.parent_nodes)
    return tuple(dict.fromkeys(name for name in names if name in known))


def _rows(fed_by: Mapping[str, tuple[str, ...]]) -> Mapping[str, int]:
    """The longest way from an input to each layer; `fed_by` lists layers after what feeds them."""
    rows: dict[str, int] = {}
    for name, feeders in fed_by.items():
        rows[name] = 1 + max((rows.get(feeder, -1) for feeder in feeders), default=-1)
    return rows


def _shape(layer: Any) -> str:
    """A shape, or one for each output; empty for a layer that was never called in a graph."""
    try:
        output = layer.output
    except (AttributeError, ValueError):  # not in a graph, or called more than once
        return ""
    outputs = output if isinstance(output, list | tuple) else [output]
    return ", ".join(" x ".join("N" if size is None else str(size) for size in tensor.shape) for tensor in outputs)


def _draw(axes: Axes, box: Box, places: Mapping[str, tuple[float, float]]) -> None:
    x, y = places[box.name]
    corner = (x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2)
    colour = OURS if box.parameters else FAINT
    axes.add_patch(
        FancyBboxPatch(corner, _BOX_WIDTH, _BOX_HEIGHT, "round,pad=0,rounding_size=0.08", ec=colour, fc=FILL, lw=1)
    )
    parameters = f"{box.parameters:,} parameters" if box.parameters else ""
    axes.text(x, y + 0.1, f"{box.name}  ({box.kind})", ha="center", va="center", fontsize=8, color=INK)
    axes.text(x, y - 0.12, "   ".join(filter(None, (box.shape, parameters))), ha="center", va="center", fontsize=7)
    for feeder in box.fed_by:
        if feeder in places:
            from_x, from_y = places[feeder]
            below, above = (from_x, from_y - _BOX_HEIGHT / 2), (x, y + _BOX_HEIGHT / 2)
            axes.annotate("", above, below, arrowprops={"arrowstyle": "->", "color": INK, "lw": 0.8})
