"""The exact lines a person can paste to try a model, made from its card."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.core.card import Card, InputField, Task
from services.core.settings import GRPC_PORT, HTTP_PORT

_LONGEST_LINE = 2000  # characters of a body that is pasted

_GRPC_METHODS = {
    Task.CLASSIFY: "Classify",
    Task.REGRESS: "Regress",
    Task.GENERATE_TEXT: "GenerateText",
    Task.GENERATE_IMAGE: "GenerateImage",
}


@dataclass(frozen=True)
class Gateway:
    """Where the gateway listens, as a client writes it; by default where `tensorgate up` has it."""

    http: str = f"http://127.0.0.1:{HTTP_PORT}"
    grpc: str = f"127.0.0.1:{GRPC_PORT}"


@dataclass(frozen=True)
class TryOut:
    """Lines to paste, and the files they need: {path: bytes}."""

    lines: Sequence[str]
    files: Mapping[Path, bytes]


def try_out(card: Card, gateway: Gateway, folder: Path) -> TryOut:
    """A curl and a grpcurl line for the card's main task, and where the model explains its answers a curl line for
    that; an example picture goes to files below `folder`.
    """
    signature = next(iter(card.signatures_for(card.task).values()))
    explain = next(iter(card.signatures_for(Task.EXPLAIN).values()), None)
    model_url = f"{gateway.http}/api/models/{card.model}"
    url = f"{model_url}/{card.task.replace('_', '-')}"
    method = f"{gateway.grpc} tensorgate.v1.Inference/{_GRPC_METHODS[card.task]}"
    body = json.dumps(_grpc_body(card, signature.example))
    picture = _only_picture(signature.inputs, signature.example)
    if picture is None:
        if len(body) > _LONGEST_LINE:
            return _from_files(card, folder, url, method)
        lines = [_curl(card, url, signature.example), f"grpcurl -plaintext -d {shlex.quote(body)} {method}"]
        if explain is not None:
            lines.append(f"curl -s --json {_quoted({'instance': dict(explain.example)})} {model_url}/explain")
        return TryOut(lines, {})
    suffix, media_type = ("png", "image/png") if picture.startswith(b"\x89PNG") else ("jpg", "image/jpeg")
    image, request = folder / f"{card.model}.{suffix}", folder / f"{card.model}.grpc.json"
    post = f"curl -s -H 'Content-Type: {media_type}' --data-binary @{shlex.quote(str(image))}"
    into = f"-H 'Accept: image/png' -o {card.model}.png " if card.task is Task.GENERATE_IMAGE else ""
    lines = [f"{post} {into}{url}", f"grpcurl -plaintext -d @ {method} < {shlex.quote(str(request))}"]
    if explain is not None:
        lines.append(f"{post} -H 'Accept: image/png' -o {card.model}.explained.png {model_url}/explain")
    return TryOut(lines, {image: picture, request: body.encode()})


def _from_files(card: Card, folder: Path, url: str, method: str) -> TryOut:
    """Of an example that nobody would paste."""
    example = next(iter(card.signatures_for(card.task).values())).example
    rest, grpc = folder / f"{card.model}.json", folder / f"{card.model}.grpc.json"
    lines = [
        f"curl -s --json {shlex.quote(f'@{rest}')} {url}",
        f"grpcurl -plaintext -d @ {method} < {shlex.quote(str(grpc))}",
    ]
    bodies = {rest: {"instance": dict(example)}, grpc: _grpc_body(card, example)}
    return TryOut(lines, {path: json.dumps(body).encode() for path, body in bodies.items()})


def _quoted(body: Mapping[str, Any]) -> str:
    return shlex.quote(json.dumps(body))


def _only_picture(inputs: Sequence[InputField], example: Mapping[str, Any]) -> bytes | None:
    """The example's picture, where nothing else needs to be sent."""
    required = [field for field in inputs if field.default is None]
    if len(required) == 1 and required[0].content == "image":
        return base64.b64decode(example[required[0].name]["b64"])
    return None


def _curl(card: Card, url: str, example: Mapping[str, Any]) -> str:
    if card.task is Task.GENERATE_TEXT:
        body: dict[str, Any] = {**_knobs(example), "prompt": example["prompt"], "length": 200}
        return f"curl -sN -H 'Accept: text/event-stream' --json {_quoted(body)} {url}"
    body = {"instance": dict(example)}
    if card.task is Task.GENERATE_IMAGE:
        return f"curl -s -H 'Accept: image/png' --json {_quoted(body)} -o {card.model}.png {url}"
    return f"curl -s --json {_quoted(body)} {url}"


def _knobs(example: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in example.items() if name not in ("prompt", "steps")}


def _grpc_body(card: Card, example: Mapping[str, Any]) -> dict[str, Any]:
    model = {"name": card.model}
    if card.task is Task.GENERATE_TEXT:
        knobs = {name: _grpc_value(value) for name, value in _knobs(example).items()}
        return {"model": model, "prompt": example["prompt"], "length": 200, "knobs": knobs}
    instance = {"inputs": {name: _grpc_value(value) for name, value in example.items()}}
    if card.task is Task.GENERATE_IMAGE:
        return {"model": model, "instance": instance}
    return {"model": model, "instances": [instance]}


def _grpc_value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, Mapping):
        return {"data": value["b64"]}
    if isinstance(value, Sequence):
        numbers = np.asarray(value)
        shape = {"shape": numbers.shape} if numbers.ndim > 1 else {}
        return {"numbers": {"values": numbers.ravel().tolist(), **shape}}
    return {"number": value}
