"""`tensorgate models`, `label`, `verify`: what is in the store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from services.cli.console import EXIT_FAULTS, JsonFlag, print_json, print_rows
from services.cli.settings import CliSettings
from services.core.errors import DataLoss, InvalidArgument, NotFound
from services.core.refs import STABLE, ModelRef, parse_ref
from services.store import Labels, Store, open_store
from services.store.garbage import collect_garbage

_MOST_HOURS = 10 * 366 * 24.0

models = typer.Typer(help="List, show, check and prune the models in the store.", invoke_without_command=True)


@models.callback()
def _models(context: typer.Context, as_json: JsonFlag = False) -> None:
    if context.invoked_subcommand is None:
        list_models(as_json)


@models.command("list")
def list_models(as_json: JsonFlag = False) -> None:
    """List models with their versions and labels."""
    store = _store()
    labels = store.watch_labels().look()
    rows: list[dict[str, Any]] = [
        {"model": model, "versions": versions, "labels": _readable(labels.get(model, {}))}
        for model, versions in store.all_versions().items()
    ]
    if as_json:
        print_json(rows)
    else:
        shown = [{**row, "versions": _numbers(row["versions"]), "labels": _labels(row["labels"])} for row in rows]
        print_rows(shown, "The store is empty. Train a model: tensorgate train mnist")


@models.command("show")
def show_model(model: Annotated[str, typer.Argument(help="mnist, mnist/3 or mnist@canary.")]) -> None:
    """Print a version's card and files as JSON; without a version, the one `stable` points at."""
    store = _store()
    ref = parse_ref(model)
    version = named_version(store, ref)
    manifest = store.manifest(ref.name, version)
    card = store.card(ref.name, version).model_dump(mode="json")
    print_json({"version": version, "bytes": manifest.size, "card": card, "files": [e.path for e in manifest.files]})


@models.command("verify")
def verify(
    model: Annotated[str | None, typer.Argument(help="mnist, mnist/3 or mnist@canary; none: everything.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read every stored byte and compare it with the manifests. Exit code 4 if anything is damaged."""
    store = _store()
    refs = [parse_ref(model)] if model else [ModelRef(name) for name in store.models()]
    rows = [row for ref in refs for row in _verified(store, ref)]
    if model and not rows:
        raise NotFound(f"What is verified is in the store {store.url}. Received: model {model!r}, which has no version")
    if as_json:
        print_json(rows)
    elif not rows:
        print(f"nothing to verify: no version in {store.url}")
    for row in [] if as_json else rows:
        name = row["model"] if row["version"] is None else f"{row['model']}/{row['version']}"
        print(f"{name}: " + ("; ".join(row["faults"]) or "whole"))
    if any(row["faults"] for row in rows):
        raise typer.Exit(EXIT_FAULTS)


def _verified(store: Store, ref: ModelRef) -> Iterator[dict[str, Any]]:
    """A row a version; one of no version where the labels are damaged."""
    labels: Labels = {}
    if ref.version is not None or ref.label is not None:
        versions = [named_version(store, ref)]
    else:
        versions = store.versions(ref.name)
        try:
            labels = store.labels(ref.name)
        except DataLoss as error:
            yield {"model": ref.name, "version": None, "faults": [error.message]}
    for version in versions:
        yield {"model": ref.name, "version": version, "faults": [*map(str, store.verify(ref.name, version))]}
    for label, version in labels.items():
        if version not in versions:
            yield {"model": ref.name, "version": version, "faults": [f"{label} points here, and there is no manifest"]}


@models.command("prune")
def prune(
    keep: Annotated[int, typer.Option(min=0, help="How many of each model's newest versions stay.")] = 3,
    abandoned_hours: Annotated[
        float,
        typer.Option(min=0, max=_MOST_HOURS, help="An upload with nothing written for so long is taken for dead."),
    ] = 24.0,
    as_json: JsonFlag = False,
) -> None:
    """Remove old versions that no label points at, and what dead uploads left."""
    gone = collect_garbage(_store(), keep, datetime.now(UTC) - timedelta(hours=abandoned_hours))
    if as_json:
        print_json(gone)
    else:
        print(f"removed {', '.join(gone)}" if gone else "nothing to remove")


def label(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    name: Annotated[str, typer.Argument(metavar="LABEL", help="stable, canary, or any other name.")],
    version: Annotated[int | None, typer.Argument(help="Where it shall point; left out: the newest version.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the label away.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Move a label to a version; running gateways follow within seconds.

    tensorgate label mnist stable
    tensorgate label mnist stable 3
    """
    if remove and version is not None:
        raise InvalidArgument(f"--remove goes without a version. Received: version {version}")
    store = _store()
    if remove:
        store.remove_label(model, name)
    else:
        version = _newest(store, model) if version is None else version
        store.move_label(model, name, version)
    if as_json:
        print_json({"model": model, "label": name, "version": version})
    else:
        print(f"{model}@{name} is gone" if remove else f"{model}@{name} -> {version}")


def _store() -> Store:
    return open_store(CliSettings().store_url)


def _newest(store: Store, model: str) -> int:
    versions = store.versions(model)
    if not versions:
        raise NotFound(f"A label points at a version in the store. Received: model {model!r}, which has none")
    return versions[-1]


def _readable(labels: Labels | DataLoss) -> Labels:
    if isinstance(labels, DataLoss):
        raise labels
    return labels


def named_version(store: Store, ref: ModelRef) -> int:
    """The version that was named, or that the label points at; without either that is `stable`."""
    if ref.version is not None:
        return ref.version
    wanted = ref.label or STABLE
    labels = store.labels(ref.name)
    if wanted not in labels:
        raise InvalidArgument(f"{ref.name} has the labels {_labels(labels) or '(none)'}. Received: {wanted!r}")
    return labels[wanted]


def _numbers(versions: list[int]) -> str:
    return ", ".join(map(str, versions))


def _labels(labels: dict[str, int]) -> str:
    return ", ".join(f"{name}={version}" for name, version in sorted(labels.items()))
