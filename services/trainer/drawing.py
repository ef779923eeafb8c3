"""Matplotlib as the report uses it: figures of our own, never pyplot's global ones, one palette."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1d2433", "#7a8396", "#e6e9ef"
BLUE, ORANGE, RED, PAPER = "#2f6fde", "#e8833a", "#c8453c", "#eef3fd"
DOTS_PER_INCH = 144


def new_figure(width: float, height: float, placed: bool = False) -> Figure:
    """An empty figure of so many inches; `placed`: its axes lie where they are put, else where their labels fit."""
    figure = Figure(figsize=(width, height), layout=None if placed else "constrained")
    FigureCanvasAgg(figure)
    return figure


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
    """The figure as it looks."""
    encoded = BytesIO()
    figure.savefig(encoded, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return encoded.getvalue()
