"""The whole loop with the tiny plugin, in this process; the check starts a model server of its own."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from plugins.contract import HoldOut, KFold, OutputField, Plugin, Samples, Signature
from services.core.card import CARD_PATH, WARMUP_PATH, Card
from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.tensors import from_proto
from services.core.tfs import prediction_log_pb2
from services.store import Store, open_store
from services.trainer.journal import Bench
from services.trainer.pipeline import TrainRequest, train, trained_on_the_same
from services.trainer.progress import PlainProgress
from services.trainer.release.check import check
from services.trainer.release.export import Exported, export
from services.trainer.release.publishing import Label, card_of, move
from services.trainer.run_record import RunRecord, RunState, read_record, write_record
from tests.trainer.tiny_plugin import Tiny, TinyConfig
from tests.trainer.train_tiny import NoDatasets, Refused


class Workshop:
    """A home folder and what is printed while training in it."""

    def __init__(self, home: Path) -> None:
        self.runs = home / "runs"
        self.store: Store = open_store(str(home / "store"))
        self.printed = io.StringIO()

    def train(self, plugin: Plugin[Any], *overrides: str, **asked: Any) -> RunRecord:
        progress = PlainProgress(Console(file=self.printed, width=300), time.monotonic)
        bench = Bench(plugin, NoDatasets(), self.store, self.runs, progress)
        return train(TrainRequest(plugin.name, overrides=overrides, **asked), bench)

    def folder(self, run: RunRecord) -> Path:
        return self.runs / run.id


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, RunRecord]:
    """One run that went all the way."""
    workshop = Workshop(tmp_path_factory.mktemp("published"))
    return workshop, workshop.train(Tiny())


def test_a_run_that_beats_its_baseline_becomes_a_labelled_version(published: tuple[Workshop, RunRecord]) -> None:
    workshop, run = published
    assert run.state is RunState.PUBLISHED
    assert run.metrics["accuracy"] > run.baseline["accuracy"]
    assert workshop.store.labels("tiny") == {"stable": 1}
    assert workshop.store.verify("tiny", 1) == []
    card = workshop.store.card("tiny", 1)
    assert (card.lineage.run, card.metrics, card.description) == (run.id, run.metrics, "one layer")
    assert run.size == workshop.store.manifest("tiny", 1).size


def test_a_run_says_how_large_its_model_is_and_how_sure_its_figure(published: tuple[Workshop, RunRecord]) -> None:
    _, run = published
    assert run.parameters == (4 + 4 + 1) + (4 * 8 + 8) + (8 * 2 + 2)  # scaling, hidden, answer
    assert run.interval is not None
    low, high = run.interval
    assert low < run.metrics["accuracy"] < high
    assert high - low < 0.3


def test_the_card_says_how_its_predictions_were_spread_on_the_test_split(
    published: tuple[Workshop, RunRecord],
) -> None:
    workshop, run = published
    expected = workshop.store.card("tiny", 1).expected
    assert expected == run.expected == read_record(workshop.folder(run)).expected
    assert list(expected["scores"].shares) == ["negative", "positive"]
    test = Tiny().load_data(TinyConfig(), NoDatasets()).test
    right = float(np.mean(test.targets))
    most = 1 - run.metrics["accuracy"]  # of the answers are wrong
    assert expected["scores"].shares["positive"] == pytest.approx(right, abs=most + 1e-6)


def test_a_run_leaves_a_folder(published: tuple[Workshop, RunRecord]) -> None:
    workshop, run = published
    folder = workshop.folder(run)
    for name in ("config.json", "run.json", "metrics.jsonl", "history.csv", "curves.png", "diagram.png", "report.html"):
        assert (folder / name).stat().st_size > 0, name
    assert list((folder / "tensorboard").rglob("events.*"))
    assert read_record(folder) == run
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert run.final is not None
    assert [line["val_accuracy"] for line in logged] == list(run.final.history["val_accuracy"])


def test_a_log_gets_a_line_an_epoch(published: tuple[Workshop, RunRecord]) -> None:
    workshop, _ = published
    lines = [line for line in workshop.printed.getvalue().splitlines() if "epoch " in line]
    assert len(lines) == 3
    assert "epoch 3/3 " in lines[2]
    assert all(figure in lines[2] for figure in ("loss ", "accuracy ", "val_accuracy ", "eta 0 s"))


def test_the_warm_up_file_asks_every_signature_for_one_row_and_for_eight(
    published: tuple[Workshop, RunRecord],
) -> None:
    workshop, run = published
    file = workshop.folder(run) / "export" / WARMUP_PATH
    requests = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(file))
    ]
    assert [request.model_spec.signature_name for request in requests] == ["classify", "classify"]
    assert [from_proto(request.inputs["numbers"]).shape for request in requests] == [(1, 4), (8, 4)]


def test_the_first_signature_is_also_the_default(published: tuple[Workshop, RunRecord]) -> None:
    workshop, run = published
    loaded = tf.saved_model.load(str(workshop.folder(run) / "export"))
    assert set(loaded.signatures) == {"classify", "serving_default"}


def test_data_are_compared_with_those_of_stable(published: tuple[Workshop, RunRecord], tmp_path: Path) -> None:
    workshop, _ = published

    class Others(NoDatasets):
        fetched: Mapping[str, str] = {"other": "0" * 64}

    def alike(datasets: NoDatasets, store: Store) -> bool:
        progress = PlainProgress(Console(quiet=True), time.monotonic)
        bench = Bench(Tiny(), datasets, store, workshop.runs, progress)
        return trained_on_the_same(TrainRequest("tiny"), bench)

    assert alike(NoDatasets(), workshop.store)
    assert not alike(Others(), workshop.store)
    assert not alike(NoDatasets(), open_store(str(tmp_path / "empty")))


def test_a_published_run_cannot_be_gone_on_with(published: tuple[Workshop, RunRecord]) -> None:
    workshop, run = published
    with pytest.raises(FailedPrecondition, match="is done"):
        workshop.train(Tiny(), resume=run.id)


def test_a_run_goes_on_under_its_own_name(published: tuple[Workshop, RunRecord]) -> None:
    workshop, run = published
    killed = workshop.folder(run).with_name("killed")
    killed.mkdir()
    record = run.model_copy(update={"id": "killed", "state": RunState.RUNNING, "version": None})
    write_record(killed, record)
    with pytest.raises(FailedPrecondition, match="published as tiny, as it was asked"):
        workshop.train(Tiny(), resume="killed", model="other")


def test_a_label_that_moved_while_a_run_was_judged_stays(published: tuple[Workshop, RunRecord]) -> None:
    workshop, _ = published
    store = workshop.store
    assert store.labels("tiny") == {"stable": 1}
    bench = Bench(Tiny(), NoDatasets(), store, workshop.runs, PlainProgress(Console(quiet=True), time.monotonic))
    assert move(Label("stable", judged_against=None), bench, "tiny", 1) is None
    assert move(Label("stable", judged_against=1), bench, "tiny", 1) == "stable"
    assert move(Label("canary"), bench, "tiny", 1) == "canary"
    store.remove_label("tiny", "canary")


def test_the_check_finds_a_served_model_that_answers_otherwise(published: tuple[Workshop, RunRecord]) -> None:
    workshop, run = published
    folder = workshop.folder(run) / "export"
    card = Card.model_validate_json((folder / CARD_PATH).read_text())
    example = {"classify": {"numbers": np.ones((1, 4), np.float32)}}
    wrong = Exported(example, {"classify": {"scores": np.array([[0.25, 0.75]], np.float32)}})
    field = OutputField(name="points", dtype="float32", shape=(2,))
    signature = card.signatures["classify"].model_copy(update={"outputs": (field,)})
    with pytest.raises(FailedPrecondition, match=r"output scores of signature classify is .* when served, .*0.75"):
        check(folder, card, wrong)
    with pytest.raises(FailedPrecondition, match=r"outputs of signature classify are .*points.* in the card"):
        check(folder, card.model_copy(update={"signatures": {"classify": signature}}), wrong)


class Diverged(Tiny):
    """Its figures are not numbers any more."""

    def evaluate(self, model: Any, samples: Samples, config: Any) -> Mapping[str, float]:
        return {"accuracy": float("nan"), "loss": float("nan")}


def test_a_run_that_diverged_is_not_published_even_by_force(workshop: Workshop) -> None:
    run = workshop.train(Diverged(), "epochs=1", force=True)
    assert run.state is RunState.REJECTED
    assert np.isnan(read_record(workshop.folder(run)).metrics["accuracy"])
    assert workshop.store.models() == []


def test_a_run_that_does_not_beat_its_baseline_is_refused_and_can_be_forced(workshop: Workshop) -> None:
    refused = workshop.train(Refused(), "epochs=1")
    assert refused.state is RunState.REJECTED
    assert refused.gate is not None
    assert "does not beat the baseline 1" in refused.gate.reasons[0]
    assert workshop.store.models() == []
    assert (workshop.folder(refused) / "report.html").exists()

    forced = workshop.train(Refused(), resume=refused.id, force=True, label=None)
    assert (forced.state, forced.forced, forced.version) == (RunState.PUBLISHED, True, 1)
    assert forced.metrics == refused.metrics
    assert workshop.store.labels("tiny") == {}
    assert "published all the same: forced" in workshop.printed.getvalue()


class Folded(Refused):
    """Three folds, then everything; notes the rows that each model was built with."""

    protocol = KFold(3)

    def __init__(self) -> None:
        self.seen: list[int] = []

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        self.seen.append(len(train))
        return super().build_model(config, variant, train)


def test_each_fold_s_model_is_built_with_its_training_part_and_the_last_with_everything(workshop: Workshop) -> None:
    plugin = Folded()
    run = workshop.train(plugin, "epochs=2")
    assert plugin.seen == [400, 266, 267, 267, 400]  # the first is the rehearsal's
    assert [fold.name for fold in run.folds] == ["fold 1", "fold 2", "fold 3"]
    assert run.final is not None
    assert "val_accuracy" not in run.final.history
    curves = np.mean([fold.history["val_accuracy"] for fold in run.folds], axis=0)
    assert len(run.final.history["loss"]) == int(np.argmax(curves)) + 1
    assert run.fold_means["accuracy"] == pytest.approx(np.mean([fold.metrics["accuracy"] for fold in run.folds]))


class Refitted(Refused):
    """Hold-out, then a fresh model on everything."""

    protocol = HoldOut(50, refit=True)


def test_a_refit_trains_on_everything_for_the_epochs_that_validated_best(workshop: Workshop) -> None:
    run = workshop.train(Refitted(), "epochs=2")
    assert [fold.name for fold in run.folds] == ["hold-out"]
    assert run.final is not None
    assert (run.final.name, len(run.final.history["loss"])) == ("final", run.folds[0].best_epoch)


def test_training_stops_early_and_lowers_the_learning_rate_when_asked(workshop: Workshop) -> None:
    run = workshop.train(
        Refused(), "epochs=40", "early_stopping_patience=2", "reduce_lr_patience=1", "learning_rate=0.05"
    )
    assert run.final is not None
    assert len(run.final.history["loss"]) < 40
    rates = run.final.history["learning_rate"]
    assert rates[-1] < rates[0]


def test_the_published_weights_are_those_of_the_epoch_that_validated_best(workshop: Workshop) -> None:
    run = workshop.train(Refused(), "epochs=6", "learning_rate=0.3")
    assert run.final is not None
    assert run.final.metrics["accuracy"] == pytest.approx(max(run.final.history["val_accuracy"]))


def _signature(**changes: Any) -> Mapping[str, Signature]:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    signature = Tiny().signatures(model)["classify"]
    return {"classify": Signature(**{**signature.__dict__, **changes})}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"function": lambda digits: {"scores": digits[:, :2]}}, r"as parameters, in order: \['numbers'\]"),
        ({"function": lambda numbers: {"points": numbers[:, :2]}}, r"returns \['scores'\]. Received: \['points'\]"),
        ({"function": lambda numbers: {"scores": numbers}}, r"float32 of shape \[rows, 2\]"),
        ({"function": lambda numbers: {"scores": tf.cast(numbers[:, :2], tf.int32)}}, "Received: int32"),
        ({"example": {}}, "without a default. Received: no numbers"),
        ({"example": {"numbers": [1, 2, 3, 4], "digit": 1}}, r"Received: \['digit'\]"),
    ],
)
def test_a_signature_that_is_not_what_its_fields_say_is_not_exported(
    published: tuple[Workshop, RunRecord], tmp_path: Path, changes: Mapping[str, Any], told: str
) -> None:
    signatures = _signature(**changes)
    with pytest.raises(InvalidArgument, match=told):
        export(keras.Sequential(), signatures, card_of(Tiny(), published[1], signatures), tmp_path / "export")
