"""From a finished run to its line in docs/results.md: measured through a gateway, kept, written."""

from __future__ import annotations

from pathlib import Path

import httpx

from services.core.refs import ModelRef
from services.trainer.configuration import validate_config
from services.trainer.discovery import load_plugin
from services.trainer.results.measure import Served, measure, read_served, write_served
from services.trainer.results.table import read_results, result_of, results_page, write_result
from services.trainer.run_folder import open_run
from services.trainer.run_record import read_record
from services.trainer.settings import TrainerSettings
from services.trainer.sources.datasets import DatasetFetcher

_SECONDS = 60.0


def measure_run(run: str, gateway: str, settings: TrainerSettings) -> Served | None:
    """Send the run's test split to a gateway that serves its version; keeps the figure in the run's folder.

    None for a plugin that makes no requests of its samples: its figure is measured in memory only. Raises what
    `measure` raises.
    """
    folder = open_run(settings.runs, run)
    record = read_record(folder.path)
    plugin = load_plugin(record.plugin)
    datasets = DatasetFetcher(settings.datasets_folder, settings.datasets, print)
    test = plugin.load_data(validate_config(plugin, record.config), datasets).test
    if next(iter(plugin.requests(test)), None) is None:
        return None
    with httpx.Client(base_url=gateway, timeout=_SECONDS) as client:
        served = measure(plugin, test, ModelRef(record.model, version=record.version), client)
    write_served(folder.path, served)
    return served


def keep_run(run: str, page: Path, settings: TrainerSettings) -> Path:
    """Keep the run's figures beside the page, in place of older ones of the same variant."""
    folder = open_run(settings.runs, run)
    return write_result(page.with_suffix(""), result_of(read_record(folder.path), read_served(folder.path)))


def write_page(page: Path) -> None:
    """Write the page from the figures beside it."""
    page.write_text(results_page(read_results(page.with_suffix(""))))
