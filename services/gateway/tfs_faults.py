"""What TensorFlow Serving's clients are told of a model that is not there: its codes and texts."""

from __future__ import annotations

from services.core.errors import InvalidArgument, NotFound
from services.core.refs import ModelRef


def not_found(ref: ModelRef) -> InvalidArgument | NotFound:
    """Whatever was missing: model, version or label."""
    if ref.label is not None:
        return InvalidArgument(f"Unrecognized servable version label: {ref.label}")
    wanted = f"Latest({ref.name})" if ref.version is None else f"Specific({ref.name}, {ref.version})"
    return NotFound(f"Servable not found for request: {wanted}")
