"""The gateway's typed REST door, from the client's side."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import httpx

from services.core.errors import Code, Unavailable, error_of
from services.core.refs import ModelRef

_MOST_SHOWN = 80  # characters of a strange answer


def model_path(ref: ModelRef) -> str:
    """Where a model, one of its versions or one of its labels is found."""
    if ref.version is not None:
        return f"/api/models/{ref.name}/versions/{ref.version}"
    return f"/api/models/{ref.name}" + (f"/labels/{ref.label}" if ref.label else "")


def as_json(instance: Mapping[str, Any]) -> dict[str, Any]:
    """An instance as it is written in JSON: bytes as {"b64": "..."}, TensorFlow Serving's convention."""
    return {
        name: {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in instance.items()
    }


def call_gateway(client: httpx.Client, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """The answer's JSON. Raises the error that the gateway answers, or Unavailable if there is none."""
    try:
        response = client.request(method, path, json=body)
    except httpx.TransportError as error:
        raise Unavailable(
            f"A gateway answers at {client.base_url}: start one with `tensorgate up`, or name it in "
            f"TENSORGATE_GATEWAY. Received: {error}"
        ) from error
    try:
        answer = response.json()
        if response.is_error:
            fault = answer["error"]
            raise error_of(Code[fault["code"]], fault["message"])
    except (ValueError, KeyError, TypeError):
        raise Unavailable(
            f"A Tensorgate gateway answers at {client.base_url}. Received: status {response.status_code} and "
            f"{response.text[:_MOST_SHOWN]!r} from something else"
        ) from None
    return answer
