"""An ensemble is one served model; its weights are found on validation data; nobody rides along."""

from __future__ import annotations

import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from plugins.contract import Array, Samples, Task, Variant
from services.core.errors import FailedPrecondition, InvalidArgument
from services.store import open_store
from services.trainer.ensemble import Loss, best_weights, ensemble, ensemble_and_publish
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.run_record import RunState
from services.trainer.settings import TrainerSettings
from tests.trainer.tiny_plugin import Tiny, TinyConfig
from tests.trainer.train_tiny import NoDatasets


def noisy(truth: Array, seed: int, noise: float) -> Array:
    return truth + noise * np.random.default_rng(seed).normal(size=truth.shape)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 4), st.integers(0, 99))
def test_weights_add_up_and_are_never_worse_than_the_best_member_or_the_plain_mean(members: int, seed: int) -> None:
    truth = np.random.default_rng(seed).normal(size=(60, 1))
    answers = [noisy(truth, seed + number, 0.2 + number) for number in range(members)]
    loss = Loss(Task.REGRESS, truth)
    weights = best_weights(answers, loss)
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0
    found = loss(np.tensordot(weights, np.stack(answers), 1))
    assert found <= loss(np.mean(answers, axis=0)) + 1e-9
    assert found <= min(map(loss, answers)) * 1.02


def bench_in(home: Path) -> Bench:
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    return Bench(HalfSighted(), NoDatasets(), open_store(str(home / "store")), home / "runs", progress)


class HalfSighted(Tiny):
    """Each variant sees two of the four numbers."""

    variants = MappingProxyType({"left": Variant("the first two"), "right": Variant("the last two")})

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        numbers = keras.Input((4,))
        seen = numbers * np.array([[1, 1, 0, 0] if variant == "left" else [0, 0, 1, 1]], np.float32)
        model = keras.Model(numbers, keras.layers.Dense(2, activation="softmax")(seen))
        model.compile(keras.optimizers.Adam(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def test_runs_that_complement_each_other_become_one_served_model(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    members = [train(TrainRequest("tiny", variant, label=None), bench) for variant in ("left", "right")]
    runs = [member.id for member in members]

    record = ensemble(runs, "together", bench)

    assert record.state is RunState.PUBLISHED, record.gate
    assert bench.store.labels("together") == {"stable": 1}
    assert record.metrics["accuracy"] > max(member.metrics["accuracy"] for member in members)
    card = bench.store.card("together", 1)
    assert card.lineage.config["members"] == runs
    assert sum(card.lineage.config["weights"]) == pytest.approx(1)
    assert card.description == "the weighted average of 2 models"
    assert (tmp_path / "runs" / record.id / "report.html").is_file()
    with pytest.raises(FailedPrecondition, match=f"Received: {runs[0]}, without which"):
        ensemble([runs[0], runs[0]], "twins", bench)
    with pytest.raises(FailedPrecondition, match="A member is a finished run of tiny"):
        ensemble([runs[0], record.id], "nested", bench)


def test_an_ensemble_of_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="two different runs or more"):
        ensemble_and_publish(["a", "a"], None, TrainerSettings(home=tmp_path))
