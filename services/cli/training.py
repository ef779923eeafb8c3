"""`tensorgate train`, `tune`, `ensemble`, `compare`, `runs`, `plugins`, `new-plugin`: before publishing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.cluster.manifests import Training
from services.cli.console import EXIT_REJECTED, JsonFlag, print_json, print_rows, progress_beside
from services.cli.jobs import IfChangedFlag, WorkersOption, start_job
from services.cli.scaffold import plugin_files
from services.cli.settings import CliSettings
from services.core.errors import AlreadyExists, InvalidArgument, TensorgateError
from services.core.refs import STABLE
from services.core.tensorflow_settings import loading_tensorflow
from services.trainer.discovery import load_entry_point, plugin_names
from services.trainer.run_record import RunRecord, RunState, read_records

LOCAL, RAY, KUBERNETES = "local", "ray", "kubernetes"


def train(
    plugin: Annotated[str, typer.Argument(help="A name from `tensorgate plugins`.")],
    variant: Annotated[str | None, typer.Option(help="Which recipe; the plugin's first if left out.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A hyper-parameter: epochs=5.")] = None,
    model: Annotated[str | None, typer.Option(help="Publish under this name instead of the plugin's.")] = None,
    label: Annotated[str, typer.Option(help="Label to move to the new version; empty: none.")] = STABLE,
    force: Annotated[bool, typer.Option("--force", help="Publish even if the gate says no.")] = False,
    resume: Annotated[str | None, typer.Option(help="Go on with a run that was killed, by its id.")] = None,
    if_changed: IfChangedFlag = False,
    engine: Annotated[
        str,
        typer.Option(help="local: here; ray: models on Ray (RAY_ADDRESS, or here); kubernetes: a job there."),
    ] = LOCAL,
    workers: WorkersOption = 1,
    detach: Annotated[bool, typer.Option("--detach", help="Leave when the job is made.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a plugin and publish the model, if it beats its baseline and the current `stable`.

    tensorgate train mnist --variant convnet --set epochs=5
    tensorgate train boston_housing --engine ray
    tensorgate train mnist --engine kubernetes --workers 2 --set devices=2
    """
    if engine not in (LOCAL, RAY, KUBERNETES):
        raise InvalidArgument(f"A run trains on one of: {LOCAL}, {RAY}, {KUBERNETES}. Received: {engine!r}")
    if engine == KUBERNETES:
        _check_job(resume, as_json)
        start_job(Training(plugin, variant, tuple(settings or ()), model, label, force, if_changed), workers, detach)
        return
    if detach:
        raise InvalidArgument("What is left to itself is a job: --engine kubernetes. Received: --detach without it")
    if workers != 1:
        raise InvalidArgument(f"Workers are a job's: --engine kubernetes. Received: --workers {workers} without it")
    with loading_tensorflow():  # it takes seconds, so it is imported where it is needed
        from services.trainer.pipeline import TrainRequest, train_and_publish

    request = TrainRequest(
        plugin=plugin,
        variant=variant,
        overrides=tuple(settings or ()),
        model=model,
        label=label or None,
        force=force,
        resume=resume,
        engine=engine,
        if_changed=if_changed,
    )
    with progress_beside(as_json):
        record = train_and_publish(request, CliSettings())
    _end(record, as_json)


def _check_job(resume: str | None, as_json: bool) -> None:
    if resume is not None or as_json:
        raise InvalidArgument(
            f"A job keeps no runs to go on with, and its record stays there. Received: resume {resume}, json {as_json}"
        )


def _end(record: RunRecord | None, as_json: bool) -> None:
    if as_json:
        print_json(record and record.model_dump(mode="json"))
    if record is not None and record.state is RunState.REJECTED:
        raise typer.Exit(EXIT_REJECTED)


def tune(
    plugin: Annotated[str, typer.Argument(help="A name from `tensorgate plugins`.")],
    variant: Annotated[str | None, typer.Option(help="Which recipe; the plugin's first if left out.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A hyper-parameter for all trials.")] = None,
    trials: Annotated[int, typer.Option(help="How many settings to try.")] = 20,
    sampler: Annotated[str, typer.Option(help="tpe learns from the trials before; random does not.")] = "tpe",
    study: Annotated[str | None, typer.Option(help="Its folder below studies/; the same name goes on.")] = None,
    engine: Annotated[str, typer.Option(help="local: one by one; ray: on a cluster (RAY_ADDRESS), or here.")] = "local",
    parallel: Annotated[int | None, typer.Option(help="Trials at once on Ray; else as it has GPUs or CPUs.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Search a plugin's hyper-parameters on validation data, then train and publish with the best.

    tensorgate tune mnist --trials 10 --set epochs=3
    tensorgate tune mnist --engine ray --parallel 4
    """
    with loading_tensorflow():
        from services.trainer.study.tuning import TuneRequest, tune_and_publish

    name = study or "-".join(filter(None, (plugin, variant)))
    request = TuneRequest(plugin, name, variant, tuple(settings or ()), trials, sampler, engine, parallel)
    with progress_beside(as_json):
        record = tune_and_publish(request, CliSettings())
    _end(record, as_json)


def ensemble(
    members: Annotated[
        list[str],
        typer.Argument(
            metavar="MEMBER...", help="A run, by id; or PLUGIN/VARIANT: trained first, each by another seed."
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A hyper-parameter of all that are trained.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Publish under this name instead of the plugin's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with runs that were killed or failed.")] = False,
    engine: Annotated[
        str, typer.Option(help="local: members are trained one by one; ray: side by side (RAY_ADDRESS, or here).")
    ] = LOCAL,
    as_json: JsonFlag = False,
) -> None:
    """Average the models of several runs, by weights found on validation data, and publish them as one.

    tensorgate ensemble RUN RUN RUN
    tensorgate ensemble mnist/convnet mnist/convnet mnist/dense --engine ray
    """
    with loading_tensorflow():
        from services.trainer.ensemble import EnsembleRequest, ensemble_and_publish

    request = EnsembleRequest(members, tuple(settings or ()), resume, model, engine)
    with progress_beside(as_json):
        record = ensemble_and_publish(request, CliSettings())
    _end(record, as_json)


def compare(
    plugin: Annotated[str, typer.Argument(help="A name from `tensorgate plugins`.")],
    variants: Annotated[list[str], typer.Argument(metavar="VARIANT...", help="Two recipes or more.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="A hyper-parameter of all: epochs=20.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train variants side by side and draw how each learns and from when it overfits; nothing is published.

    tensorgate compare imdb bag_of_words smaller larger --set epochs=20
    """
    with loading_tensorflow():
        from services.trainer.comparison import CompareRequest, compare_here

    request = CompareRequest(plugin, variants, tuple(settings or ()))
    with progress_beside(as_json):
        _, comparison = compare_here(request, CliSettings())
    if as_json:
        print_json(comparison.model_dump(mode="json"))


def runs(as_json: JsonFlag = False) -> None:
    """List the runs of this home folder, oldest first."""
    settings = CliSettings()
    records = read_records(settings.runs)
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
    else:
        print_rows([_run_row(record) for record in records], "No runs yet. Start one: tensorgate train mnist")
        if records:
            print(f"\nEach has a report: {settings.runs}/<run>/report.html")
        if any(record.state in (RunState.KILLED, RunState.FAILED) for record in records):
            print("One that was killed or failed goes on: tensorgate train PLUGIN --resume RUN")


def _run_row(record: RunRecord) -> dict[str, Any]:
    name = record.metric.name
    figure = record.metrics.get(name)
    return {
        "run": record.id,
        "state": record.state.value,
        "version": f"{record.model}/{record.version}" if record.version else "",
        "figure": f"{name} {figure:.4g}" if figure is not None else "",
        "baseline": f"{record.baseline[name]:.4g}" if name in record.baseline else "",
    }


def plugins(as_json: JsonFlag = False) -> None:
    """List the installed plugins and their variants."""
    rows = [_plugin_row(name, as_json) for name in plugin_names()]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, "No plugin is installed. Make one: tensorgate new-plugin NAME")


def _plugin_row(name: str, as_json: bool) -> dict[str, Any]:
    try:
        plugin = load_entry_point(plugin_names()[name])
    except TensorgateError as error:  # one broken plugin must not hide the others
        return {"plugin": name, "task": "broken", "variants": [] if as_json else "", "about": error.message}
    variants = list(plugin.variants)
    return {
        "plugin": name,
        "task": plugin.task.value,
        "variants": variants if as_json else ", ".join(variants),
        "about": plugin.title,
    }


def new_plugin(
    name: Annotated[str, typer.Argument(help="A lower-case Python name, such as flower_photos.")],
    folder: Annotated[Path, typer.Option(help="Where to make the plugin's folder.")] = Path(),
) -> None:
    """Write a small plugin that trains as it is, for you to change."""
    files = plugin_files(name)
    target = folder / name
    if target.exists():
        raise AlreadyExists(f"A new plugin gets a new folder. Received: {target}, which exists")
    try:
        for path, text in files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text)
    except OSError as error:
        raise InvalidArgument(f"A new plugin's folder can be written to. Received: {error}") from None
    print(f"wrote {target}/. Next: pip install --editable {shlex.quote(str(target))} && tensorgate train {name}")
