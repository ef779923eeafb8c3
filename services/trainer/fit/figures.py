"""What a plugin says of a model: its figures on samples, and those that it is to beat."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from plugins.contract import Data, Plugin
from services.core.errors import InvalidArgument
from services.trainer.data import Part
from services.trainer.faults import told
from services.trainer.fit.recipe import Recipe


def figures_on(part: Part, model: Any, recipe: Recipe) -> dict[str, float]:
    """What `evaluate` says, the figure that runs are judged by among it. Raises InvalidArgument."""
    plugin, metric = recipe.plugin, recipe.metric.name
    with meeting(part, model, recipe) if evaluates_as_compiled(plugin) else _stating(plugin, "evaluate"):
        figures = plugin.evaluate(model, part.samples, recipe.config)
    if not isinstance(figures, Mapping):
        raise InvalidArgument(f"evaluate returns figures by name. Received: {type(figures).__name__}")
    if metric not in figures:
        raise InvalidArgument(
            "A plugin's metric is one that its model is compiled with, or that its evaluate returns. "
            f"Received: {metric!r}, and figures {', '.join(figures)}"
        )
    return dict(figures)


def baseline_of(plugin: Plugin[Any], data: Data) -> dict[str, float]:
    """The common-sense figures that a run is to beat. Raises InvalidArgument."""
    with _stating(plugin, "baseline"):
        return dict(plugin.baseline(data))


def evaluates_as_compiled(plugin: Plugin[Any]) -> bool:
    """Are its figures Keras' own, of any samples, few or many?"""
    return type(plugin).evaluate is Plugin.evaluate


def meeting(part: Part, model: Any, recipe: Recipe) -> AbstractContextManager[None]:
    """Around what Keras does with model and samples: what it says is told with what has met. Raises InvalidArgument."""

    def met() -> str:
        ends = [[list(tensor.shape) for tensor in getattr(model, end, None) or ()] for end in ("inputs", "outputs")]
        shapes = f" takes {_told(ends[0])} and answers {_told(ends[1])}" if all(ends) else ""  # of some none is known
        return f"variant {recipe.variant}{shapes}, {part}: "

    rule = f"build_model of plugin {recipe.plugin.name} makes a model that takes the inputs and learns the targets"
    return told(recipe.plugin, rule, met)


def _told(shapes: list[list[int | None]]) -> str:
    return " ".join(str(shape) for shape in shapes)


def _stating(plugin: Plugin[Any], method: str) -> AbstractContextManager[None]:
    return told(plugin, f"{method} of plugin {plugin.name} returns figures by name")
