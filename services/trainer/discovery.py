"""Finding plugins: ours and anyone's, through one entry-point group."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import UnionType
from typing import Any

from plugins.contract import EvaluationProtocol, Metric, Plugin, Task, Variant
from services.core.errors import FailedPrecondition, NotFound, received
from services.core.tensorflow_settings import loading_tensorflow
from services.trainer.faults import what_was_raised

_STATED: Mapping[str, type | UnionType] = {
    "name": str,
    "title": str,
    "task": Task,
    "metric": Metric,
    "variants": Mapping,
    "protocol": EvaluationProtocol,
}
GROUP = "tensorgate.plugins"


def plugin_names() -> Mapping[str, EntryPoint]:
    """Every installed plugin by name, in order; none of them is loaded."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def load_plugin(name: str) -> Plugin[Any]:
    """The plugin called `name`.

    Raises NotFound with the names there are, FailedPrecondition if it cannot be imported or is no plugin.
    """
    known = plugin_names()
    if name not in known:
        raise NotFound(f"A plugin is one of: {', '.join(known) or 'none is installed'}. Received: {name!r}")
    return load_entry_point(known[name])


def load_entry_point(point: EntryPoint) -> Plugin[Any]:
    """What an entry point names, which must be a Plugin. Raises FailedPrecondition."""
    try:
        with loading_tensorflow():
            plugin = point.load()
    except Exception as error:  # someone else's module: whatever it raises is its fault, and is said so
        raised = what_was_raised(error, point.module.rpartition(".")[0] or point.module)
        raise FailedPrecondition(f"Plugin {point.name!r} ({point.value}) cannot be imported: {raised}") from error
    if not isinstance(plugin, Plugin):
        raise FailedPrecondition(
            f"The entry point of plugin {point.name!r} ({point.value}) names a Plugin instance. "
            f"Received: {type(plugin).__name__}"
        )
    _check_stated(plugin, point)
    return plugin


def _check_stated(plugin: Plugin[Any], point: EntryPoint) -> None:
    """Raises FailedPrecondition for what the loop would fall over."""
    for attribute, kind in _STATED.items():
        value = getattr(plugin, attribute, None)
        if not isinstance(value, kind) or not value:
            raise FailedPrecondition(
                f"A plugin states {', '.join(_STATED)}, each of its type in plugins/contract.py. "
                f"Received: {attribute} of {point.name!r} is {received(value)}"
            )
    if not all(isinstance(variant, Variant) for variant in plugin.variants.values()):
        raise FailedPrecondition(f"Each variant is a Variant. Received: {received(plugin.variants)} of {point.name!r}")
    if plugin.name != point.name:
        raise FailedPrecondition(f"A plugin is called as its entry point, {point.name!r}. Received: {plugin.name!r}")
