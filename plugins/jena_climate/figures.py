"""Pictures for the run's report."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plugins.contract import Samples
from plugins.jena_climate.data import ClimateConfig

HISTORY, CAME, MODEL, NAIVE = "#7a8396", "#1d2433", "#2f6fde", "#e8833a"


def draw_forecasts(model: Any, samples: Samples, config: ClimateConfig) -> bytes:
    """PNG: a panel a window, the target as it was, and after the horizon what the model, "as now" and reality say."""
    windows, came = next(samples.in_order(len(samples)).as_numpy_iterator())
    expected = np.asarray(model(windows))[:, 0]
    hours = (np.arange(windows.shape[1]) - windows.shape[1] + 1) * config.minutes / 60
    figure = Figure(figsize=(11, 2.2 * -(-len(samples) // 2)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(-(-len(samples) // 2), 2, squeeze=False).flat
    for axes, window, forecast, truth in zip(panels, windows, expected, came, strict=False):
        history = window[:, int(samples.assets["target"])]
        axes.plot(hours, history, color=HISTORY, linewidth=1)
        for value, colour, marker, name in (
            (history[-1], NAIVE, "s", "as now"),
            (forecast, MODEL, "o", "model"),
            (truth, CAME, "x", "came"),
        ):
            axes.plot(config.horizon, value, marker, color=colour, markersize=6, label=f"{name} {value:.1f}")
        axes.axvline(0, color=HISTORY, linewidth=0.8, linestyle=":")
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.set_ylabel(config.unit, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("hours from the last row that the model sees", fontsize=8)
    encoded = BytesIO()
    figure.savefig(encoded, format="png", dpi=120)
    return encoded.getvalue()
