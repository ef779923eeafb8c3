"""`python -m services.trainer`: the figures that docs/results.md shows.

measure RUN   send the run's test split to a gateway that serves its version; writes served.json into the run's folder
keep RUN      keep the run's figures in docs/results/
results       write docs/results.md from docs/results/
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx

from services.core.errors import TensorgateError
from services.core.refs import ModelRef
from services.trainer.configuration import validate_config
from services.trainer.datasets import DatasetFetcher
from services.trainer.discovery import load_plugin
from services.trainer.measure import measure, read_served, write_served
from services.trainer.results import read_results, result_of, results_page, write_result
from services.trainer.run_folder import open_run
from services.trainer.run_record import read_record
from services.trainer.settings import TrainerSettings

_SECONDS = 60.0


def _measure(run: str, gateway: str, settings: TrainerSettings) -> None:
    folder = open_run(settings.runs, run)
    record = read_record(folder.path)
    plugin = load_plugin(record.plugin)
    datasets = DatasetFetcher(settings.datasets_folder, settings.datasets, print)
    test = plugin.load_data(validate_config(plugin, record.config), datasets).test
    with httpx.Client(base_url=gateway, timeout=_SECONDS) as client:
        served = measure(plugin, test, ModelRef(record.model, version=record.version), client)
    write_served(folder.path, served)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in {served.metric: served.value, **served.others}.items())
    print(f"{served.model}/{served.version}: {figures} on {served.samples} samples")


def _keep(run: str, page: Path, settings: TrainerSettings) -> None:
    folder = open_run(settings.runs, run)
    print(write_result(page.with_suffix(""), result_of(read_record(folder.path), read_served(folder.path))))


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "keep", "results"))
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    asked = parser.parse_args()
    try:
        for run in asked.runs:
            if asked.command == "measure":
                _measure(run, asked.gateway, TrainerSettings())
            elif asked.command == "keep":
                _keep(run, asked.page, TrainerSettings())
        if asked.command == "results":
            asked.page.write_text(results_page(read_results(asked.page.with_suffix(""))))
    except TensorgateError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
