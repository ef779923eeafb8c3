"""TensorFlow Serving's REST paths (tensorflow_serving/model_servers/http_rest_api_util.cc)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from services.core.errors import InvalidArgument
from services.core.tfs import model_pb2

_VERSION = r"(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_PREFIX = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_CALL = re.compile(rf"(?i:/v1/models)/(?P<name>[^/:]+)(?i:{_VERSION}):(?P<verb>classify|regress|predict)")
_STATUS = re.compile(rf"(?i:/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?)")
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class Target:
    """What a path asks for: `verb` is predict, classify, regress, status or metadata."""

    verb: str
    spec: model_pb2.ModelSpec


def is_ours(path: str) -> bool:
    """Whether TensorFlow Serving answers this path itself; any other is a plain 404 page."""
    return _PREFIX.fullmatch(path) is not None


def parse_path(method: str, path: str) -> Target:
    """Read the request target, query and all. Raises InvalidArgument when it is malformed."""
    pattern = {"POST": _CALL, "GET": _STATUS}.get(method)
    found = pattern.fullmatch(path) if pattern is not None else None
    if found is None:
        raise InvalidArgument(f"Malformed request: {method} {path}")
    parts = found.groupdict()
    if not parts["name"]:
        raise InvalidArgument("Missing model name in request.")
    spec = model_pb2.ModelSpec(name=unquote(parts["name"], errors="surrogateescape"))
    if parts["label"] is not None:
        spec.version_label = unquote(parts["label"])
    if parts["version"] is not None:
        spec.version.value = _version(parts["version"])
    if "verb" in parts:
        return Target(parts["verb"], spec)
    # "METADATA" in capitals matches the path and is still a status request, as TensorFlow Serving has it.
    return Target("metadata" if parts["metadata"] == "/metadata" else "status", spec)


def _version(digits: str) -> int:
    version = int(digits)
    if version > _MAX_INT64:
        raise InvalidArgument("")  # TensorFlow Serving answers 400 with no body at all
    return version
