"""`tensorgate reproduce`: lines of docs/results.md, trained, served and measured anew."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer

from services.cli.console import EXIT_ERROR
from services.cli.settings import CliSettings, inherited_environment
from services.cli.supervisor import Supervisor
from services.cli.up import POLL_SECONDS, Address, free_port, say, serve_while, train_apart
from services.core.errors import TensorgateError
from services.core.refs import STABLE
from services.store import open_store

_FIRST_SEED = 1  # of a variant that has no record yet
_KEYS = "TENSORGATE_GATEWAY_KEYS"
_LIVE_SECONDS = 300.0


@dataclass(frozen=True)
class Line:
    """One line of the page."""

    plugin: str
    variant: str
    seed: int

    @property
    def model(self) -> str:
        """A name of its own, because variants of one model must hold against each other at the gate."""
        return f"{self.plugin}-{self.variant}"


@dataclass(frozen=True)
class Workshop:
    """Where the lines are made: `settings` have the store and the mirror of the reproduction, `home` has the runs."""

    settings: CliSettings
    home: CliSettings
    address: Address
    page: Path


def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="mnist or mnist/convnet; none: every line of the page."),
    ] = None,
    page: Annotated[Path, typer.Option(help="The page; its records lie in the folder of the same name.")] = Path(
        "docs/results.md"
    ),
) -> None:
    """Train variants with their recorded seeds, measure them through a gateway and write docs/results.md.

    Nothing that is served from the store is touched: versions go to a store of their own, emptied first.
    """
    home = CliSettings()
    folder = home.home / "reproduced"
    shutil.rmtree(folder, ignore_errors=True)
    settings = home.model_copy(update={"home": folder, "store": str(folder / "store")})
    workshop = Workshop(settings, home, Address("127.0.0.1", free_port(), free_port()), page)
    lines = lines_of(names or (), page.with_suffix(""))
    failed: list[str] = []
    # This gateway is ours alone, on loopback: keys set for another one would shut us out.
    environment = {name: value for name, value in inherited_environment().items() if name.upper() != _KEYS}
    work = partial(_make_all, workshop, lines, failed)
    asyncio.run(serve_while(settings, workshop.address, work, environment=environment))
    if failed:
        say(f"not reproduced: {', '.join(failed)}")
        raise typer.Exit(EXIT_ERROR)


def lines_of(names: Sequence[str], records: Path) -> Sequence[Line]:
    """The lines that names ask for: a plugin's all, one variant's, or without names all that have a record."""
    from services.trainer.configuration import variant_of
    from services.trainer.discovery import load_plugin
    from services.trainer.results.table import read_results

    seeds: Mapping[tuple[str, str], int] = {(one.plugin, one.variant): one.seed for one in read_results(records)}
    if not names:
        return [Line(*which, seed) for which, seed in seeds.items()]
    lines = []
    for name in names:
        plugin, _, variant = name.partition("/")
        known = load_plugin(plugin)
        variants = [variant_of(known, variant)[0]] if variant else known.variants
        lines += [Line(plugin, one, seeds.get((plugin, one), _FIRST_SEED)) for one in variants]
    return lines


async def _make_all(workshop: Workshop, lines: Sequence[Line], failed: list[str], supervisor: Supervisor) -> None:
    await supervisor.ready("gateway")
    for number, line in enumerate(lines, 1):
        say(f"{line.plugin}/{line.variant}, seed {line.seed}: {number} of {len(lines)}")
        if not await _make(workshop, line):
            failed.append(f"{line.plugin}/{line.variant}")


async def _make(workshop: Workshop, line: Line) -> bool:
    """One line, from training to the page; False where the run failed or its figure is no number."""
    environment = {**inherited_environment(), "TENSORGATE_STORE": workshop.settings.store_url}
    # Forced: the page also says which variants lose to the baseline, and this store serves nobody.
    options = ("--variant", line.variant, "--model", line.model, "--set", f"seed={line.seed}", "--force")
    if await train_apart(line.plugin, environment, *options) != 0:
        return False
    store = open_store(workshop.settings.store_url)
    version = store.labels(line.model)[STABLE]
    try:
        await _live(line.model, version, workshop.address.gateway.http)
        await asyncio.to_thread(_record, workshop, store.card(line.model, version).lineage.run)
    except (TensorgateError, TimeoutError) as error:  # the other lines go on
        say(f"{line.model} is not measured: {error}")
        return False
    return True


async def _live(model: str, version: int, gateway: str) -> None:
    """Wait until the version is served."""
    async with asyncio.timeout(_LIVE_SECONDS), httpx.AsyncClient(base_url=gateway) as client:
        while True:
            with suppress(httpx.HTTPError):  # the gateway is restarting: ask again
                models = (await client.get("/api/models")).raise_for_status().json()["models"]
                if any(one["name"] == model and version in one["versions"] for one in models):
                    return
            await asyncio.sleep(POLL_SECONDS)


def _record(workshop: Workshop, run: str) -> None:
    from services.trainer.results.recording import keep_run, measure_run, write_page

    say(str(measure_run(run, workshop.address.gateway.http, workshop.home) or "measured in memory only"))
    say(f"kept {keep_run(run, workshop.page, workshop.home)}")
    write_page(workshop.page)
