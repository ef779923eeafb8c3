"""`tensorgate predict`: one prediction through the gateway, from files, text or name=value pairs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from services.cli.console import JsonFlag, print_json
from services.cli.settings import CliSettings
from services.core.card import Card, InputField, SignatureCard, Task
from services.core.errors import InvalidArgument
from services.core.gateway_client import call_gateway, model_path
from services.core.refs import parse_ref

_TIMEOUT_SECONDS = 60.0


def predict(
    model: Annotated[str, typer.Argument(help="mnist, mnist/3 (a version) or mnist@canary (a label).")],
    values: Annotated[
        list[str] | None, typer.Argument(help="A picture's path, a text, or field=value pairs. None: the example.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the picture a model draws to this file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask a served model, as curl would.

    tensorgate predict mnist digit.png
    tensorgate predict nietzsche "the soul is" temperature=0.2
    tensorgate predict digits_vae seed=7 --out digit.png
    """
    settings = CliSettings()
    ref = parse_ref(model)
    with httpx.Client(base_url=settings.gateway, timeout=_TIMEOUT_SECONDS) as client:
        card = Card.model_validate(call_gateway(client, "GET", model_path(ref))["card"])
        signature = next(iter(card.signatures_for(card.task).values()))
        instance = read_instance(signature, values) if values else dict(signature.example)
        body = instance if card.task is Task.GENERATE_TEXT else {"instance": instance}
        answer = call_gateway(client, "POST", f"{model_path(ref)}/{card.task.replace('_', '-')}", body)
    _show(card.task, answer, out, as_json)


def read_instance(signature: SignatureCard, values: Sequence[str]) -> dict[str, Any]:
    """One instance from what was typed: `name=value`, or a bare value for the first field not given by name.

    Raises InvalidArgument for a name the signature does not know or a number that is not one.
    """
    fields = {field.name: field for field in signature.inputs}
    instance: dict[str, Any] = {}
    bare: list[str] = []
    for value in values:
        name, equals, text = value.partition("=")
        if equals and name in fields:
            instance[name] = _read_value(fields[name], text)
        else:
            bare.append(value)
    free = [field for field in signature.inputs if field.name not in instance]
    if len(bare) > len(free):
        raise InvalidArgument(f"The inputs are {', '.join(fields)}, as name=value. Received: {bare[len(free)]!r}")
    for field, text in zip(free, bare, strict=False):
        instance[field.name] = _read_value(field, text)
    return instance


def _read_value(field: InputField, text: str) -> Any:
    if field.content == "image":
        path = Path(text)
        if not path.is_file():
            raise InvalidArgument(
                f"{field.name} is the path of a JPEG or PNG file. Received: {text!r}, which is no file"
            )
        return {"b64": base64.b64encode(path.read_bytes()).decode()}
    if field.content == "text":
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise InvalidArgument(f"{field.name} is a number, or a JSON list of numbers. Received: {text!r}") from None


def _show(task: Task, answer: Mapping[str, Any], out: Path | None, as_json: bool) -> None:
    if out is not None and task is Task.GENERATE_IMAGE:
        out.write_bytes(base64.b64decode(answer["images"][0]["b64"]))
        print(f"wrote {out}")
    elif as_json or task is Task.GENERATE_IMAGE:
        print_json(answer)
    elif task is Task.GENERATE_TEXT:
        print(answer["text"])
    elif task is Task.CLASSIFY:
        best = answer["predictions"][0]
        print(f"{best['label']}  ({best['score']:.4f})")
    else:
        values = ", ".join(f"{value:g}" for value in answer["predictions"][0]["values"])
        print(f"{values} {answer.get('unit', '')}".rstrip())
