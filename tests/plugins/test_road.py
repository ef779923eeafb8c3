"""Every built-in plugin that learns walks the whole road, from data to a labelled version.

The starters do so in tests/e2e, and so does a variant without training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from plugins.contract import (
    Data,
    EvaluationProtocol,
    HoldOut,
    IteratedKFold,
    KFold,
    Plugin,
    Signature,
    Untrained,
)
from services.core.card import WARMUP_PATH
from services.store import open_store
from services.trainer.datasets import DatasetFetcher
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.run_record import RunState
from tests.e2e.conftest import STARTERS
from tests.plugins.few_rows import (
    PARTS,
    TAUGHT,
    plugin_of,
)


def shortened(plugin: Plugin[Any], data: Data) -> Plugin[Any]:
    """The plugin with a few rows of data and few fits."""

    class Short(type(plugin)):  # type: ignore[misc]  # the class is known at run time only
        """The same plugin."""

        def load_data(self, config: Any, datasets: Any) -> Data:
            return data

        def signatures(self, model: Any) -> Mapping[str, Signature]:
            """What the plugin is for; how its explanations leave the graph is for its own tests to see."""
            own = super().signatures(model)
            return {name: signature for name, signature in own.items() if signature.task is plugin.task}

    short: Plugin[Any] = Short()
    vars(short).update(vars(plugin))  # labels that came with the data
    short.protocol = few_fits(plugin.protocol, len(data.train) // PARTS)  # type: ignore[misc]  # of this instance only
    return short


def few_fits(protocol: EvaluationProtocol, validation: int) -> EvaluationProtocol:
    """The same protocol with as little to train as it allows: each fit is traced anew."""
    match protocol:
        case HoldOut():
            return replace(protocol, validation=validation, gap=0)
        case IteratedKFold():
            return replace(protocol, folds=2, repeats=1)
        case KFold():
            return replace(protocol, folds=2)
        case Untrained():
            return protocol


@pytest.mark.parametrize("name", sorted(set(TAUGHT) - STARTERS.keys()))
def test_the_whole_road_from_data_to_a_labelled_version(
    name: str, data_of: Callable[..., Data], tmp_path: Path
) -> None:
    plugin = shortened(plugin_of(name), data_of(name))
    store = open_store(str(tmp_path / "store"))
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    bench = Bench(plugin, DatasetFetcher(tmp_path, "", progress.step), store, tmp_path / "runs", progress)
    record = train(TrainRequest(name, overrides=("epochs=1",), force=True), bench)
    assert record.state is RunState.PUBLISHED
    assert store.labels(name) == {"stable": 1}
    card = store.card(name, 1)
    assert card.metrics[plugin.metric.name] == record.metrics[plugin.metric.name]
    assert card.lineage.run == record.id
    assert str(WARMUP_PATH) in {entry.path for entry in store.manifest(name, 1).files}
    assert (tmp_path / "runs" / record.id / "report.html").is_file()
