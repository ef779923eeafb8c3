"""The chart beside the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from tests.benchmarks.peers.figures import Figures, Load
from tests.benchmarks.peers.report import Loads

OURS, OTHERS = "#1f6f8b", "#b8b8b8"


def draw(figures: Figures, loads: Loads, ours: Sequence[str], path: Path) -> None:
    """Requests a second of each row with the most connections, a panel a body; ours in a colour of their own."""
    matplotlib.use("agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "peers"})
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    count = max(loads.connections)
    rows = figures.rows()[::-1]
    chart, panels = pyplot.subplots(1, len(loads.workloads), figsize=(10, 0.4 * len(rows) + 1), sharey=True)
    for panel, workload in zip(panels, loads.workloads, strict=True):
        rates = [figures.best[row, Load(workload.name, count)].rate for row in rows]
        colours = [OURS if row in ours else OTHERS for row in rows]
        drawn = panel.barh([row.replace("`", "") for row in rows], rates, color=colours)
        panel.bar_label(drawn, fmt="{:,.0f}", padding=3, fontsize=8)
        panel.margins(x=0.15)
        panel.set_title(f"{workload.title} a request, {count} connections", fontsize=10)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.set_xlabel("requests/s", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    chart.tight_layout()
    chart.savefig(path, metadata={"Date": None})
    pyplot.close(chart)
