"""`train_on_two_devices.py HOME`: train on one device and on two, publish, and say what came of it.

In a process of its own, because TensorFlow learns how many processors there are before it does anything else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich.console import Console

from plugins.contract import Samples
from services.core.errors import TensorgateError
from services.store import open_store
from services.trainer.fit.precision import make_deterministic
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, fit_all, train
from services.trainer.progress import PlainProgress
from services.trainer.run_record import RunRecord, StageRecord
from tests.trainer.test_fitting import Frozen, Players
from tests.trainer.tiny_plugin import Tiny, TinyConfig, draw, recipe_of
from tests.trainer.train_tiny import NoDatasets

CONFIG = TinyConfig(epochs=2, balance_classes=True)  # 352 samples, the last batch of a pass is whole
REFUSED = ({"devices": 3, "batch_size": 15}, {"batch_size": 15}, {"jit_compile": True})


class Own(Tiny):
    """Knows nothing of other devices."""

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        model = Players()
        model.compile("adam")
        return model


def main(home: Path) -> None:
    """Print it as JSON."""
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    make_deterministic(CONFIG)
    together = CONFIG.model_copy(update={"devices": 2})
    _fitted(Frozen(), home / "two", together.model_copy(update={"epochs": 1}))  # killed after an epoch
    figures = {}
    for name, config in (("one", CONFIG), ("two", together)):
        model, record = _fitted(Frozen(), home / name, config)
        figures[name] = record.model_dump()
    print(
        json.dumps(
            {
                "figures": figures,
                "variables": sorted({type(variable.value).__name__ for variable in model.variables}),
                "published": _published(home).model_dump(mode="json"),
                "refused": list(_refused(home / "refused", together)),
            }
        )
    )


def _published(home: Path) -> RunRecord:
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    bench = Bench(Tiny(), NoDatasets(), open_store(str(home / "store")), home / "runs", progress)
    return train(TrainRequest("tiny", overrides=("devices=2", "epochs=2")), bench)


def _refused(folder: Path, config: TinyConfig) -> Iterator[str]:
    for plugin, change in ((Own(), {}), *((Tiny(), change) for change in REFUSED)):
        try:
            _fitted(plugin, folder, config.model_copy(update=change))
        except TensorgateError as error:
            yield error.message


def _fitted(plugin: Tiny, folder: Path, config: TinyConfig) -> tuple[Any, StageRecord]:
    folder.mkdir(exist_ok=True)
    model, (validated,), _ = fit_all(recipe_of(plugin, folder, config), draw(402, 1))
    return model, validated


if __name__ == "__main__":
    main(Path(sys.argv[1]))
