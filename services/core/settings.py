"""Reading a service's settings from the environment, so that a misspelt variable stops the start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode

from services.core.errors import InvalidArgument

LOG = "TENSORGATE_LOG"

S = TypeVar("S", bound=BaseSettings)

HTTP_PORT, GRPC_PORT = 8080, 8090  # where the gateway listens, and where everybody looks for it


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    """Each once, in the order given."""
    given = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(name.strip() for name in given if name.strip()))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]  # written with commas between


def read_settings(settings: type[S], **given: Any) -> S:
    """The settings `given`, and the others as the environment has them. Raises InvalidArgument for a variable with the
    prefix that no field has.

    pydantic-settings passes over variables it does not know, even under extra="forbid".
    """
    prefix = settings.model_config["env_prefix"]
    known = {prefix + name.upper() for name in settings.model_fields}
    strange = sorted(name for name in os.environ if name.upper().startswith(prefix) and name.upper() not in known)
    if strange:
        raise InvalidArgument(f"The settings here are {', '.join(sorted(known))}. Received: {', '.join(strange)}")
    return settings(**given)


def logs_in_json() -> bool:
    """Whether the log is in JSON (`json`) or text (`text`, the default). Raises InvalidArgument."""
    given = os.environ.get(LOG) or "text"
    if given not in ("text", "json"):
        raise InvalidArgument(f"{LOG} is text or json. Received: {given!r}")
    return given == "json"
