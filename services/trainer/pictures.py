"""What the pictures of a report have in common: colours, type, and how one becomes PNG bytes."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1f2933"
FAINT = "#c3cbd4"
OURS = "#2563eb"
TRAINING = "#94a3b8"
MARK = "#dc2626"
FILL = "#eff4ff"
_DPI = 144


def canvas(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def plain(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """A light frame with labels."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, color=FAINT, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes."""
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=_DPI, metadata={"Software": None})
    return encoded.getvalue()
