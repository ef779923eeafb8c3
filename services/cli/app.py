"""The `tensorgate` command."""

from __future__ import annotations

import errno
import sys

import typer

from services.cli import batching, jobs, keys, models, own_models, predict, reproduce, training, up
from services.cli.console import EXIT_ERROR, print_error
from services.core.errors import TensorgateError
from services.core.settings import logs_in_json
from services.core.telemetry import configure_logging
from services.core.tensorflow_settings import quiet_tensorflow, share_gpu

_OF_THE_PLACE = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)

app = typer.Typer(
    name="tensorgate",
    help="From a Keras training script to a production endpoint: train, publish, roll out, serve, watch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the gate refused the run, 4 verify found damage.",
)
app.command()(up.up)
app.command()(up.serve)
app.command()(training.train)
app.command()(own_models.publish)
app.command()(training.tune)
app.add_typer(jobs.jobs, name="jobs")
app.command()(jobs.schedule)
app.command("retrain-hook")(jobs.retrain_hook)
app.command()(training.ensemble)
app.command()(training.compare)
app.command()(reproduce.reproduce)
app.command()(training.runs)
app.command()(training.plugins)
app.command("new-plugin")(training.new_plugin)
app.add_typer(models.models, name="models")
app.command()(models.label)
app.command()(models.verify)
app.command()(keys.key)
app.command()(predict.predict)
app.command("tune-batching")(batching.tune_batching)


def run() -> None:
    """Run the command; an error of ours, or of the place that files are in, becomes one sentence and exit code 1."""
    quiet_tensorflow(errors=True)
    share_gpu()
    try:
        if logs_in_json():
            configure_logging(in_json=True)  # else what is logged beside the progress is a plain line
        app()
    except TensorgateError as error:
        print_error(error.message)
        sys.exit(EXIT_ERROR)
    except OSError as error:
        if error.errno not in _OF_THE_PLACE:
            raise
        print_error(f"What is kept and written has a place that permits it and has room. Received: {error}")
        sys.exit(EXIT_ERROR)
