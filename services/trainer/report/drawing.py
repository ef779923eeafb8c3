"""Matplotlib as the report uses it: figures of our own, never pyplot's global ones, one palette."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

INK, MUTED, GRID = "#1d2433", "#7a8396", "#e6e9ef"
BLUE, ORANGE, RED, PAPER = "#2f6fde", "#e8833a", "#c8453c", "#eef3fd"
DOTS_PER_INCH = 144


def new_figure(width: float, height: float, placed: bool = False) -> Figure:
    """An empty figure of so many inches; `placed`: its axes lie where they are put, else where their labels fit."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=None if placed else "constrained")


def style(axes: Any, title: str, across: str = "", up: str = "") -> None:
    """Quiet axes: no box, a light grid, the title to the left."""
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_xlabel(across, color=MUTED, fontsize=9)
    axes.set_ylabel(up, color=MUTED, fontsize=9)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def to_png(figure: Figure) -> bytes:
    """The figure as it looks. Drawn once; `savefig` draws twice to find the places of labels, a third slower."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib leaves its methods untyped
    canvas.draw()
    encoded = BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())
    Image.fromarray(pixels).convert("RGB").save(encoded, "PNG")
    return encoded.getvalue()
