"""Finding plugins: ours and anyone's, through one entry-point group."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from plugins.contract import Plugin
from services.core.errors import FailedPrecondition, NotFound
from services.core.tensorflow_settings import loading_tensorflow

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
        raise FailedPrecondition(
            f"Plugin {point.name!r} ({point.value}) cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(plugin, Plugin):
        raise FailedPrecondition(
            f"The entry point of plugin {point.name!r} ({point.value}) names a Plugin instance. "
            f"Received: {type(plugin).__name__}"
        )
    return plugin
