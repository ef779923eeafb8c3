"""The members of an ensemble: runs there are, and runs trained for it, side by side where the engine can.

A member is a run like any other, but what is published is the ensemble.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from plugins.contract import Array, Config, Dataset, HoldOut, Plugin
from services.core.errors import FailedPrecondition, InvalidArgument
from services.trainer.configuration import resolve_config, validate_config, variant_of
from services.trainer.data import load
from services.trainer.fit.recipe import Faults, Planned, Recipe
from services.trainer.journal import Bench, Journal, RecordingDatasets
from services.trainer.pipeline import TrainRequest, begin, carry_out, plan_folds
from services.trainer.run_folder import open_run
from services.trainer.run_record import RunRecord, RunState, read_record

_UNFINISHED = (RunState.RUNNING, RunState.KILLED, RunState.FAILED)
_OF = "/"  # between a plugin and its variant; in no run's id


@dataclass(frozen=True)
class MembersRequest:
    """What a person asks for."""

    members: Sequence[str]  # runs by id, and PLUGIN/VARIANT for each to train
    overrides: tuple[str, ...] = ()  # of those to train
    resume: bool = False  # go on with runs that were killed or failed


def find_members(request: MembersRequest, bench: Bench) -> tuple[str, ...]:
    """The ids of the members' runs in their order, all finished: those that are not are trained.

    Raises InvalidArgument, NotFound and FailedPrecondition before anything is trained, and FailedPrecondition with the
    ids when a member could not be.
    """
    known = {name: read_record(open_run(bench.runs, name).path) for name in request.members if _OF not in name}
    _check(request, known, bench.plugin)
    asked = {
        place: TrainRequest(bench.plugin.name, resume=name, publish=False)
        for place, name in enumerate(request.members)
        if request.resume and name in known and known[name].state in _UNFINISHED
    }
    asked |= _new(request, known, bench.plugin)
    begun = {place: begin(asked[place], bench) for place in sorted(asked)}
    runs = [begun[place][1].record.id if place in begun else name for place, name in enumerate(request.members)]
    if begun:
        bench.progress.step(f"members: {' '.join(runs)}; should this be cut short: {_to_go_on(runs)}")
        _train([*begun.values()], runs, bench)
    return tuple(runs)


def plugin_of(member: str, runs: Path) -> str:
    """The name of a member's plugin. Raises NotFound."""
    return member.partition(_OF)[0] if _OF in member else read_record(open_run(runs, member).path).plugin


def recipe_of(run: str, bench: Bench) -> Recipe:
    """How a run's model is trained, or was."""
    folder = open_run(bench.runs, run)
    record = read_record(folder.path)
    config = validate_config(bench.plugin, record.config)
    return Recipe(bench.plugin, record.variant, config, record.metric, folder, bench.progress)


def _check(request: MembersRequest, known: Mapping[str, RunRecord], plugin: Plugin[Any]) -> None:
    new = [name.partition(_OF) for name in request.members if name not in known]
    if len(known) + len(new) < 2:
        given = ", ".join(request.members) or "none"
        raise InvalidArgument(f"An ensemble has two different members or more. Received: {given}")
    if request.overrides and not new:
        raise InvalidArgument(f"Settings are of members to train. Received: {', '.join(request.overrides)}")
    for owner, _, variant in new:
        if owner == plugin.name:
            variant_of(plugin, variant)
        _check_kind(f"{owner}{_OF}{variant}", (owner, variant), plugin)
    for run, record in known.items():
        _check_kind(f"{run} ({record.plugin}, {record.variant})", (record.plugin, record.variant), plugin)
        if not record.metrics and not request.resume:
            raise FailedPrecondition(
                f"A member is a finished run, or one to go on with (--resume). Received: {run}, {record.state}"
            )


def _check_kind(told: str, kind: tuple[str, str], plugin: Plugin[Any]) -> None:
    """Raises FailedPrecondition for what cannot be averaged with models of the plugin."""
    owner, name = kind
    variant = plugin.variants.get(name)
    protocol = variant and (variant.protocol or plugin.protocol)
    if owner != plugin.name or not isinstance(protocol, HoldOut) or protocol.refit:
        raise FailedPrecondition(
            f"A member is of {plugin.name}, validated by hold-out and not trained again after it. Received: {told}"
        )


def _new(
    request: MembersRequest, known: Mapping[str, RunRecord], plugin: Plugin[Any]
) -> Iterator[tuple[int, TrainRequest]]:
    """The runs to begin, with their places; all members are validated on the same rows, and no two have variant and
    seed in common.
    """
    taken = {(record.variant, record.seed) for record in known.values()}
    rows = [validate_config(plugin, record.config).rows_seed for record in known.values()]
    for place, name in enumerate(request.members):
        if name in known:
            continue
        variant = name.partition(_OF)[2]
        config = resolve_config(plugin, variant, request.overrides)
        rows.append(config.rows_seed)
        seed = next(seed for seed in count(config.seed) if (variant, seed) not in taken)
        taken.add((variant, seed))
        settings = (f"split_seed={rows[0]}", *request.overrides, f"seed={seed}")
        yield place, TrainRequest(plugin.name, variant, settings, publish=False)


def _train(begun: Sequence[tuple[Config, Journal]], runs: Sequence[str], bench: Bench) -> None:
    """Train the runs that have been begun. Raises FailedPrecondition with the ids of all `runs` if one fails."""
    with ExitStack() as ahead:
        ahead.callback(bench.progress.close)
        for _, journal in begun:
            ahead.enter_context(journal.timed("fit"))
        faults = bench.engine(_planned(journal.record.id, bench) for _, journal in begun)
    failed = {}
    for config, journal in begun:
        try:
            _finish(config, journal, faults, bench)
        except Exception as error:  # whatever it is, the other members are worth having
            failed[journal.record.id] = error
    if failed:
        told = ", ".join(f"{run} ({type(error).__name__}: {error})" for run, error in failed.items())
        raise FailedPrecondition(
            f"All members of an ensemble are trained. Received: {told}. Leave them out, or: {_to_go_on(runs)}"
        ) from next(iter(failed.values()))


def _planned(run: str, bench: Bench) -> Planned:
    recipe = recipe_of(run, bench)
    data = load(bench.plugin, recipe.config, bench.datasets)
    (plan,) = plan_folds(recipe, len(data.train))
    return Planned(recipe, plan)


def _finish(config: Config, journal: Journal, faults: Faults, bench: Bench) -> None:
    """Train the run's model here, unless an engine has; evaluate it. Raises what training it raises, or has raised."""
    alone = replace(bench, datasets=_OfOneRun(bench.datasets), engine=lambda _: faults)
    carry_out(TrainRequest(bench.plugin.name, publish=False), alone, config, journal)


class _OfOneRun:
    """Datasets that remember what they gave to one run, when others were given some, too."""

    def __init__(self, datasets: RecordingDatasets) -> None:
        self._datasets = datasets
        self.fetched: dict[str, str] = {}

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        """The dataset's arrays."""
        arrays = self._datasets.fetch(dataset)
        self.fetched[dataset.file] = self._datasets.fetched[dataset.file]
        return arrays


def _to_go_on(runs: Sequence[str]) -> str:
    return f"tensorgate ensemble --resume {' '.join(runs)}"
