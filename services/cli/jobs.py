"""`tensorgate jobs`, `schedule`, and `train --engine kubernetes`: training on a cluster."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from services.cli.cluster.following import follow
from services.cli.cluster.hook import Hook, hook_server
from services.cli.cluster.manifests import (
    JobState,
    Manifest,
    Training,
    job_name,
    job_of,
    schedule_name,
    schedule_of,
    state_of,
    why,
    with_workers,
    words_of,
)
from services.cli.console import EXIT_REJECTED, JsonFlag, print_json, print_rows
from services.cli.settings import CliSettings
from services.core.errors import FailedPrecondition, Internal, InvalidArgument
from services.core.refs import STABLE
from services.core.settings import logs_in_json
from services.core.telemetry import configure_logging
from services.trainer.progress import progress_on

if TYPE_CHECKING:
    from services.cli.cluster.api import Cluster

IfChangedFlag = Annotated[
    bool, typer.Option("--if-changed", help="Only if the data are others than those `stable` was trained on.")
]

WorkersOption = Annotated[
    int, typer.Option(help="Pods of a job that train together, with `--set devices=` all their GPUs.")
]

_LEAST_TOKEN = 16

jobs = typer.Typer(help="List, follow and cancel the jobs that train on a cluster.", invoke_without_command=True)


@jobs.callback()
def _jobs(context: typer.Context, as_json: JsonFlag = False) -> None:
    if context.invoked_subcommand is None:
        list_jobs(as_json)


@jobs.command("list")
def list_jobs(as_json: JsonFlag = False) -> None:
    """List the jobs that the cluster still knows, oldest first."""
    rows = [_job_row(job) for job in _cluster().jobs()]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, "No jobs. Start one: tensorgate train mnist --engine kubernetes")


@jobs.command("follow")
def follow_job(name: Annotated[str, typer.Argument(help="A job's name.")]) -> None:
    """Show what a job says, from its start, until it ends. Ctrl-C leaves; the job goes on."""
    _follow(_cluster(), name)


@jobs.command("cancel")
def cancel(name: Annotated[str, typer.Argument(help="A job's name.")]) -> None:
    """Stop a job and forget it. What it has published stays."""
    _cluster().cancel(name)
    print(f"{name} is cancelled")


def schedule(
    plugin: Annotated[str | None, typer.Argument(help="A name from `tensorgate plugins`; none: list.")] = None,
    cron: Annotated[str | None, typer.Option(help='When, in UTC: minute hour day month weekday: "0 3 * * 0".')] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the schedule away.")] = False,
    variant: Annotated[str | None, typer.Option(help="Which recipe; the plugin's first if left out.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A hyper-parameter: epochs=5.")] = None,
    model: Annotated[str | None, typer.Option(help="Publish under this name instead of the plugin's.")] = None,
    label: Annotated[str, typer.Option(help="Label to move to the new version; empty: none.")] = STABLE,
    if_changed: IfChangedFlag = False,
    workers: WorkersOption = 1,
    as_json: JsonFlag = False,
) -> None:
    """Train again and again on a cluster, at the times of `--cron`; the gate decides what is published.

    tensorgate schedule mnist --cron "0 3 * * 0"
    tensorgate schedule mnist --remove
    """
    if plugin is None:
        _list_schedules(as_json)
        return
    if (cron is None) != remove:
        raise InvalidArgument(f"Give --cron, or --remove. Received: cron {cron}, remove {remove}")
    name = schedule_name(model or plugin)
    cluster = _cluster()
    if cron is None:
        cluster.remove_schedule(name)
        print(f"{name} is removed")
        return
    training = Training(plugin, variant, tuple(settings or ()), model, label, if_changed=if_changed)
    template = with_workers(cluster.template(), workers)
    cluster.set_schedule(schedule_of(template, name, training.words, cron))
    print(f"{name} trains at {cron!r}")


def retrain_hook(
    token_file: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Holds the bearer token that Alertmanager sends.")
    ],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8085,
) -> None:
    """Begin a model's scheduled training when Alertmanager posts an alert with the label `model` to /retrain.

    tensorgate retrain-hook --token-file token
    """
    token = token_file.read_text().strip()
    if len(token) < _LEAST_TOKEN:
        raise InvalidArgument(
            f"A token has {_LEAST_TOKEN} characters or more. Received: {token_file} with {len(token)}"
        )
    configure_logging(in_json=logs_in_json())
    server = hook_server(Hook(_cluster(), token), (host, port))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # process 1 of a container ends at no signal by itself
    print(f"listening on http://{host}:{server.server_port}/retrain", flush=True)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()


def start_job(training: Training, workers: int, detach: bool) -> None:
    """Make a job of so many workers, and follow it unless `detach`. Raises TensorgateError."""
    cluster = _cluster()
    name = job_name(training.model or training.plugin, datetime.now(UTC))
    cluster.start(job_of(with_workers(cluster.template(), workers), name, training.words))
    print(f"job {name}", flush=True)
    if not detach:
        _follow(cluster, name)


def _follow(cluster: Cluster, name: str) -> None:
    progress = progress_on(Console(), time.monotonic)
    try:
        job = follow(cluster, name, progress, time.sleep)
    except KeyboardInterrupt:
        progress.close()
        print(f"{name} goes on. To see it: tensorgate jobs follow {name}; to end it: tensorgate jobs cancel {name}")
        return
    finally:
        progress.close()
    state = state_of(job)
    if state is JobState.REFUSED:
        raise typer.Exit(EXIT_REJECTED)
    if state is JobState.FAILED:
        raise Internal(f"The job {name} failed. The cluster says: {why(job)}")


def _list_schedules(as_json: bool) -> None:
    rows = [_schedule_row(each) for each in _cluster().schedules()]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, 'No schedules. Make one: tensorgate schedule mnist --cron "0 3 * * 0"')


def _job_row(job: Manifest) -> dict[str, Any]:
    created = job["metadata"].get("creationTimestamp", "")
    return {"job": job["metadata"]["name"], "state": state_of(job).value, "created": created, "why": why(job)}


def _schedule_row(each: Manifest) -> dict[str, Any]:
    spec, last = each["spec"], each.get("status", {}).get("lastScheduleTime", "")
    told = " ".join(words_of(each))
    return {"schedule": each["metadata"]["name"], "cron": spec["schedule"], "last": last, "tensorgate": told}


def _cluster() -> Cluster:
    try:
        from services.cli.cluster.api import open_cluster  # installed by those who ask for it
    except ModuleNotFoundError as error:
        if error.name != "kubernetes":
            raise
        raise FailedPrecondition(
            "A cluster is asked where its client is installed: in a checkout, pip install '.[kubernetes]'. "
            "Received: none here"
        ) from None
    return open_cluster(CliSettings().namespace)
