"""The settings that each image reads. A new room, or a new setting of one, needs nothing here but its class."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_settings import BaseSettings

from services.cli.settings import CliSettings
from services.gateway.settings import GatewaySettings
from services.mirror.settings import MirrorSettings

READERS: Mapping[str, type[BaseSettings]] = {
    "tensorgate/gateway": GatewaySettings,
    "tensorgate/mirror": MirrorSettings,
    "tensorgate/trainer": CliSettings,
}
# Read by boto3.
_AWS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"}


def faults(image: str, variables: Mapping[str, str]) -> list[str]:
    """Variables that nothing in the image reads, and values that are refused; an empty value is known later."""
    settings = READERS.get(image)
    fields = {} if settings is None else settings.model_fields
    prefix = "" if settings is None else settings.model_config["env_prefix"]
    known = {prefix + name.upper(): name for name in fields}
    values = {known[name]: value for name, value in variables.items() if name in known and value}
    if settings is not None:
        settings.model_validate(values)  # raises with the field's name
    return sorted(name for name in variables if name not in known and name not in _AWS)
