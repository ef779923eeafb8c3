"""The whole road, from data to a labelled version, walked with a few rows and few fits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from plugins.contract import (
    AllData,
    Data,
    EvaluationProtocol,
    HoldOut,
    IteratedKFold,
    KFold,
    Plugin,
    Samples,
    Signature,
    Untrained,
)
from services.store import Store, open_store
from services.trainer.fit.protocols import trains_again
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.run_record import RunRecord
from services.trainer.sources.datasets import DatasetFetcher
from tests.plugins.few_rows import PARTS, Trained


@dataclass(frozen=True)
class Walked:
    """What is there at the end of the road."""

    record: RunRecord
    store: Store
    runs: Path
    trained: Trained


def walk(plugin: Plugin[Any], data: Data, folder: Path) -> Walked:
    """Train and publish the plugin's first variant."""
    short, seen = _shortened(plugin, data)
    store, progress = open_store(str(folder / "store")), PlainProgress(Console(quiet=True), time.monotonic)
    bench = Bench(short, DatasetFetcher(folder, "", progress.step), store, folder / "runs", progress)
    record = train(TrainRequest(plugin.name, overrides=("epochs=1",), force=True), bench)
    fits_before = len(record.folds) if trains_again(short.protocol) else 0  # each has a seed of its own
    return Walked(record, store, bench.runs, Trained(plugin, **seen, seed=record.seed + fits_before))


def _shortened(plugin: Plugin[Any], data: Data) -> tuple[Plugin[Any], Mapping[str, Any]]:
    """The plugin with a few rows of data and few fits; and what was built and served last, for others to look at."""
    seen: dict[str, Any] = {}

    class Short(type(plugin)):  # type: ignore[misc]  # the class is known at run time only
        """The same plugin."""

        def load_data(self, config: Any, datasets: Any) -> Data:
            return data

        def build_model(self, config: Any, variant: str, train: Samples) -> Any:
            model = super().build_model(config, variant, train)
            seen.update(config=config, data=Data(train, data.test), first_weights=model.get_weights(), model=model)
            return model

        def signatures(self, model: Any) -> Mapping[str, Signature]:
            """What the plugin is for; how its explanations leave the graph is for its own tests to see."""
            own = super().signatures(model)
            seen.update(signatures=own)
            return {name: signature for name, signature in own.items() if signature.task is plugin.task}

    short: Plugin[Any] = Short()
    vars(short).update(vars(plugin))  # labels that came with the data
    short.protocol = _few_fits(plugin.protocol, len(data.train) // PARTS)  # type: ignore[misc]  # of this instance only
    return short, seen


def _few_fits(protocol: EvaluationProtocol, validation: int) -> EvaluationProtocol:
    """The same protocol with as little to train as it allows: each fit is traced anew."""
    match protocol:
        case HoldOut():
            return replace(protocol, validation=validation, gap=0)
        case IteratedKFold():
            return replace(protocol, folds=2, repeats=1)
        case KFold():
            return replace(protocol, folds=2)
        case AllData() | Untrained():
            return protocol
