"""`tensorgate publish`: a model that somebody has already, from its file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from services.cli.console import JsonFlag, print_json, progress_beside
from services.cli.settings import CliSettings
from services.core.card import Task
from services.core.errors import InvalidArgument
from services.core.refs import STABLE
from services.core.tensorflow_settings import loading_tensorflow
from services.store import open_store
from services.trainer.progress import progress_on

_TASKS = (Task.CLASSIFY, Task.REGRESS)


Labels = Annotated[
    str | None, typer.Option(help="Of a classifier, in the order of its scores: cat,dog; or @FILE, a line each.")
]
TaskOption = Annotated[str | None, typer.Option(help="classify or regress; needless with labels or a unit.")]
Logits = Annotated[bool, typer.Option("--logits", help="The scores come before softmax, or sigmoid.")]
Independent = Annotated[bool, typer.Option("--independent", help="Each score is a chance of its own.")]
Pixels = Annotated[
    str | None, typer.Option(metavar="LOW:HIGH", help="Answer pictures; black and white as the model takes them.")
]
Features = Annotated[str | None, typer.Option(help="Names of the columns of its one input: rooms,age.")]
Inputs = Annotated[str | None, typer.Option(help="Names of its inputs, in order.")]
Unit = Annotated[str, typer.Option(help="What its values are counted in: dollars.")]
Example = Annotated[Path | None, typer.Option(help="An instance: a file of JSON, or a picture; else one of zeros.")]


def publish(
    path: Annotated[Path, typer.Argument(help="A .keras or .h5 file, or the folder of a SavedModel.")],
    model: Annotated[str, typer.Argument(help="The name it is asked by; a new version, if there is such a model.")],
    labels: Labels = None,
    task: TaskOption = None,
    logits: Logits = False,
    independent: Independent = False,
    pixels: Pixels = None,
    features: Features = None,
    inputs: Inputs = None,
    unit: Unit = "",
    example: Example = None,
    title: Annotated[str, typer.Option(help="In people's words.")] = "",
    label: Annotated[str, typer.Option(help="Label to move to the new version; empty: none.")] = STABLE,
    as_json: JsonFlag = False,
) -> None:
    """Publish a model that you have already. No gate sees it; a model server of its own checks it.

    tensorgate publish prices.keras prices --features rooms,age --unit dollars
    tensorgate publish pets.keras pets --labels cat,dog --pixels 0:1
    tensorgate publish exported/ reviews --labels bad,good
    """
    names = _names(labels)
    kind = _task(task or (Task.CLASSIFY if names else Task.REGRESS if unit else None))
    with loading_tensorflow():
        from services.trainer.release.file_signatures import Words
        from services.trainer.release.own_model import OwnModel, publish_own

    words = Words(
        task=kind,
        labels=names,
        logits=logits,
        independent=independent,
        unit=unit,
        inputs=_names(inputs),
        features=_names(features),
        pixels=None if pixels is None else _pixels(pixels),
        example={} if example is None else _example(example, picture=pixels is not None),
    )
    store = open_store(CliSettings().store_url)
    with progress_beside(as_json):
        version = publish_own(OwnModel(path, model, title, words), store, progress_on(Console(), time.monotonic))
    if label:
        store.move_label(model, label, version)
    if as_json:
        print_json({"model": model, "version": version, "label": label or None})
    else:
        print(f"published {model}/{version}" + (f" as {label}" if label else ""))


def _task(given: str | None) -> Task:
    if given not in _TASKS:
        raise InvalidArgument(
            f"A model has --labels, or a --unit, or says --task {' or '.join(_TASKS)}. Received: {given or 'none'}"
        )
    return Task(given)


def _names(given: str | None) -> tuple[str, ...]:
    """Between commas, or in the lines of a file."""
    if given is None:
        return ()
    names = tuple(map(str.strip, Path(given[1:]).read_text().splitlines() if given[:1] == "@" else given.split(",")))
    if not all(names) or len(set(names)) < len(names):
        raise InvalidArgument(f"Names are not empty, and no two are the same. Received: {given}")
    return names


def _pixels(given: str) -> tuple[float, float]:
    try:
        low, high = map(float, given.split(":"))
    except ValueError:
        raise InvalidArgument(
            f"Pixels are what black and white are to the model, as 0:1, -1:1 or 0:255. Received: {given!r}"
        ) from None
    return low, high


def _example(file: Path, *, picture: bool) -> Mapping[str, Any]:
    content = file.read_bytes()
    if picture and file.suffix != ".json":
        return {"image_bytes": content}
    try:
        instance = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"An example is an instance in JSON. Received: {file}: {error}") from None
    if not isinstance(instance, dict):
        raise InvalidArgument(f"An example is an instance, an object by input. Received: {file}: {instance!r:.80}")
    return instance
