"""From defaults, a variant's settings and `--set key=value` to one typed config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from plugins.contract import Config, Plugin, Variant
from services.core.errors import InvalidArgument

_NONE = ("none", "null")


def variant_of(plugin: Plugin[Any], name: str | None) -> tuple[str, Variant]:
    """The variant called `name`, or the first. Raises InvalidArgument with the names there are."""
    name = next(iter(plugin.variants)) if name is None else name
    if name not in plugin.variants:
        raise InvalidArgument(f"A variant of {plugin.name} is one of: {', '.join(plugin.variants)}. Received: {name!r}")
    return name, plugin.variants[name]


def resolve_config(plugin: Plugin[Any], variant: str | None, overrides: Sequence[str] = ()) -> Config:
    """The plugin's defaults, changed by the variant, changed by `key=value` texts, the last of a key winning.

    Raises InvalidArgument naming the rule, the known keys and the value.
    """
    _, chosen = variant_of(plugin, variant)
    return validate_config(plugin, {**chosen.settings, **dict(_pair(text, plugin.config) for text in overrides)})


def validate_config(plugin: Plugin[Any], settings: Mapping[str, Any]) -> Config:
    """A config of the plugin's own type. Raises InvalidArgument."""
    try:
        return plugin.config.model_validate(dict(settings))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}. Received: {fault['input']!r}"
            for fault in error.errors(include_url=False)
        )
        raise InvalidArgument(f"The config of {plugin.name} is not valid: {faults}") from None


def _pair(text: str, config: type[Config]) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise InvalidArgument(f"A setting is written key=value. Received: {text!r}")
    if key not in config.model_fields:
        raise InvalidArgument(f"A setting is one of: {', '.join(config.model_fields)}. Received: {key!r}")
    return key, None if value.lower() in _NONE else value
