"""TensorFlow Serving's REST paths (tensorflow_serving/model_servers/http_rest_api_util.cc)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from services.core.errors import InvalidArgument

_VERSION = r"(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_PREFIX = "/v1/"
_LONG = 256  # characters of a path
_CALL = re.compile(rf"(?i:/v1/models)/(?P<name>[^/:]+)(?i:{_VERSION}):(?P<verb>classify|regress|predict)")
_STATUS = re.compile(rf"(?i:/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?)")
_MAX_INT64 = 2**63 - 1
_MOST_DIGITS = 19  # of that; Python refuses to read thousands of them


class Target(NamedTuple):
    """What a path asks for: `verb` is predict, classify, regress, status or metadata."""

    verb: str
    name: str
    version: int | None
    label: str | None


def is_tfs_path(path: str) -> bool:
    """Whether TensorFlow Serving answers this path itself (OpenAI's are among them); any other is a plain 404 page."""
    return path[: len(_PREFIX)].lower() == _PREFIX


def parse_path(method: str, path: str) -> Target:
    """Read the request target, query and all. Raises InvalidArgument when it is malformed."""
    # The same few are asked again and again; long ones are nobody's models, and would only take memory.
    return _parse_again(method, path) if len(path) <= _LONG else _parse(method, path)


def _parse(method: str, path: str) -> Target:
    pattern = {"POST": _CALL, "GET": _STATUS}.get(method)
    found = pattern.fullmatch(path) if pattern is not None else None
    if found is None:
        raise InvalidArgument(f"Malformed request: {method} {path}")
    parts = found.groupdict()
    if not parts["name"]:
        raise InvalidArgument("Missing model name in request.")
    # "METADATA" in capitals matches the path and is still a status request, as TensorFlow Serving has it.
    verb = parts.get("verb") or ("metadata" if parts["metadata"] == "/metadata" else "status")
    name = unquote(parts["name"], errors="surrogateescape")
    label = None if parts["label"] is None else unquote(parts["label"])
    return Target(verb, name, _version(parts["version"]), label)


_parse_again = lru_cache(1024)(_parse)


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    digits = digits.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS or int(digits) > _MAX_INT64:
        raise InvalidArgument("")  # TensorFlow Serving answers 400 with no body at all
    return int(digits)
