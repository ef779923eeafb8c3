"""`tensorgate predict`: one prediction through the gateway, from files, text or name=value pairs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
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
    out: Annotated[Path | None, typer.Option(help="Write the picture a model answers to this file.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Ask what speaks for the answer.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a served model, as curl would.

    tensorgate predict mnist digit.png
    tensorgate predict nietzsche "the soul is" temperature=0.2 length=200
    tensorgate predict digits_vae seed=7 --out digit.png
    tensorgate predict cats_vs_dogs pet.jpg --explain --out heat.png
    """
    settings = CliSettings()
    ref = parse_ref(model)
    with httpx.Client(base_url=settings.gateway, headers=settings.headers, timeout=_TIMEOUT_SECONDS) as client:
        card = Card.model_validate(call_gateway(client, "GET", model_path(ref))["card"])
        task = Task.EXPLAIN if explain else card.task
        signature = _signature_of(card, task)
        values = [
            value.replace("length=", "steps=", 1) if value.startswith("length=") else value for value in values or ()
        ]
        instance = read_instance(signature, values) if values else dict(signature.example)
        body = _text_body(instance) if task is Task.GENERATE_TEXT else {"instance": instance}
        answer = call_gateway(client, "POST", f"{model_path(ref)}/{task.replace('_', '-')}", body)
    if out is not None:
        _write_picture(answer, out)
    if as_json:
        print_json(answer)
    elif out is not None:
        print(f"wrote {out}")
    elif not (lines := in_words(answer)):
        print_json(answer)
    else:
        print("\n".join(lines))


def _write_picture(answer: Mapping[str, Any], out: Path) -> None:
    if not answer.get("images"):
        raise InvalidArgument(f"--out is for an answer with a picture. Received: one with {', '.join(answer)}")
    try:
        out.write_bytes(base64.b64decode(answer["images"][0]["b64"]))
    except OSError as error:
        raise InvalidArgument(f"--out is a file that can be written. Received: {error}") from None


def _text_body(instance: Mapping[str, Any]) -> dict[str, Any]:
    """The door's own name for the model's `steps` is `length`."""
    return {"length" if name == "steps" else name: value for name, value in instance.items()}


def _signature_of(card: Card, task: Task) -> SignatureCard:
    for signature in card.signatures_for(task).values():
        return signature
    tasks = sorted({signature.task.value for signature in card.signatures.values()})
    raise InvalidArgument(f"Model {card.model} answers {', '.join(tasks)}. Received: {task}")


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
        try:
            return {"b64": base64.b64encode(Path(text).read_bytes()).decode()}
        except OSError as error:
            raise InvalidArgument(
                f"{field.name} is the path of a JPEG or PNG file. Received: {text!r}: {error.strerror}"
            ) from None
    if field.content == "text":
        if any("\ud800" <= character <= "\udfff" for character in text):  # what Python makes of other bytes
            raise InvalidArgument(f"{field.name} is UTF-8. Received: {text!r}")
        return text
    try:
        return orjson.loads(text)  # which knows no NaN, and bounds how deep lists may lie
    except orjson.JSONDecodeError:
        raise InvalidArgument(f"{field.name} is a number, or a JSON list of numbers. Received: {text!r}") from None


def in_words(answer: Mapping[str, Any]) -> Sequence[str]:
    """What a person reads of an answer, line by line; none for what words cannot tell."""
    if "text" in answer:
        return [answer["text"]]
    if "predictions" not in answer:
        return [f"{one['attribution']:+.4f}  {one['word']}" for one in answer.get("attributions", ())]
    (prediction,) = answer["predictions"]
    if "units" in answer or "unit" in answer:  # of a regression: values by output name
        units = {**dict.fromkeys(prediction, answer.get("unit", "")), **answer.get("units", {})}
        prediction = {name: {"values": values, "unit": units[name]} for name, values in prediction.items()}
    elif "scores" in prediction and ("label" in prediction or "labels" in prediction):
        return [_head_in_words(prediction)]
    heads = {name: _head_in_words(head) for name, head in prediction.items()}
    return [f"{name}: {said}" for name, said in heads.items()] if len(heads) > 1 else list(heads.values())


def _head_in_words(head: Mapping[str, Any]) -> str:
    if "values" in head:
        values = head["values"] if isinstance(head["values"], list) else [head["values"]]
        numbers = ", ".join(f"{value:g}" if isinstance(value, (float, int)) else str(value) for value in values)
        return f"{numbers} {head['unit']}".rstrip()
    labels = [head["label"]] if "label" in head else head["labels"]
    return ", ".join(f"{label}  ({head['scores'][label]:.4f})" for label in labels) or "no label"
