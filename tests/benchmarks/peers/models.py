"""Exports the models that everybody serves, with what they answer to a few inputs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from plugins.contract import InputField, OutputField, Signature, Task
from services.core.card import Card, Lineage
from services.core.refs import STABLE
from services.core.tensors import Array
from services.store import open_store
from services.trainer.release.export import export, signature_cards
from tests.benchmarks.peers.workloads import FIELD, Served, Workload

SEED = 7
INPUTS = 16  # that answers are checked with


def publish(workload: Workload, folder: Path) -> Served:
    """Export the model into `folder`, and publish it as stable in a home folder there."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.Input(workload.shape),
            keras.layers.Flatten(),
            keras.layers.Dense(workload.hidden, activation="relu"),
            keras.layers.Dense(workload.scores, activation="softmax"),
        ]
    )
    inputs = np.random.default_rng(SEED).random((INPUTS, *workload.shape)).round(4)
    signatures = _signatures(workload, model, inputs)
    served = Served(workload, folder / "saved_model", folder / "home", inputs, np.asarray(model(inputs)))
    export(model, signatures, _card(workload, signatures), served.saved_model)
    store = open_store(str(served.home / "store"))
    store.move_label(workload.name, STABLE, store.publish(workload.name, served.saved_model))
    return served


def _signatures(workload: Workload, model: Any, inputs: Array) -> Mapping[str, Signature]:
    """`classify`, which Keras also writes as `serving_default`."""

    def classify(numbers: Any) -> Mapping[str, Any]:
        return {"scores": model(numbers)}

    return {
        "classify": Signature(
            Task.CLASSIFY,
            classify,
            (InputField(name=FIELD, dtype="float32", shape=workload.shape),),
            (OutputField(name="scores", dtype="float32", shape=(workload.scores,), content="scores"),),
            {FIELD: inputs[0].tolist()},
        )
    }


def _card(workload: Workload, signatures: Mapping[str, Signature]) -> Card:
    name = workload.name
    return Card(
        model=name,
        task=Task.CLASSIFY,
        title=workload.title,
        description="",
        signatures=signature_cards(signatures),
        metrics={},
        baseline={},
        lineage=Lineage(plugin=name, variant="", run="", seed=SEED, config={}, created=datetime.now(UTC)),
    )
