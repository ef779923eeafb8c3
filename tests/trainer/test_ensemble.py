"""An ensemble is one served model; its weights are found on validation data; nobody rides along."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from plugins.contract import Array, Data, Dataset, Datasets, KFold, Samples, Task, Variant
from services.core.errors import FailedPrecondition, InvalidArgument, TensorgateError
from services.store import open_store
from services.trainer.ensemble import EnsembleRequest, Loss, best_weights, ensemble
from services.trainer.journal import Bench
from services.trainer.members import MembersRequest, find_members
from services.trainer.pipeline import TrainRequest, train
from services.trainer.progress import PlainProgress
from services.trainer.run_record import RunRecord, RunState, read_record, read_records, write_record
from tests.trainer.tiny_plugin import Tiny, TinyConfig, half_sighted
from tests.trainer.traced_plugin import read_npz


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


class HalfSighted(Tiny):
    """Each variant reads a file of its own and sees two of the four numbers; one is validated as no member is."""

    variants = MappingProxyType(
        {
            "left": Variant("the first two", {"units": 1}),
            "right": Variant("the last two", {"units": 2}),
            "folded": Variant("by folds", protocol=KFold(2)),
        }
    )
    blind: str | None = None  # the variant that cannot be built

    def load_data(self, config: TinyConfig, datasets: Datasets) -> Data:
        datasets.fetch(Dataset(f"{config.units}.npz", None, read_npz, ()))
        return super().load_data(config, datasets)

    def build_model(self, config: TinyConfig, variant: str, train: Samples) -> Any:
        if variant == self.blind:
            raise ValueError(f"blind on the {variant}")
        return half_sighted(variant)


class EmptyFiles:
    """Datasets without anything in them."""

    def __init__(self) -> None:
        self.fetched: dict[str, str] = {}

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        self.fetched[dataset.file] = f"hash of {dataset.file}"
        return {}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    progress = PlainProgress(Console(quiet=True), time.monotonic)
    return Bench(HalfSighted(), EmptyFiles(), open_store(str(tmp_path / "store")), tmp_path / "runs", progress)


def record_of(run: str, bench: Bench) -> RunRecord:
    return read_record(bench.runs / run)


def test_members_that_complement_each_other_are_trained_and_become_one_served_model(bench: Bench) -> None:
    record = ensemble(EnsembleRequest(("tiny/left", "tiny/right"), model="together"), bench)

    assert record.state is RunState.PUBLISHED, record.gate
    assert bench.store.labels("together") == {"stable": 1}
    card = bench.store.card("together", 1)
    runs = list(card.lineage.config["members"])
    members = [record_of(run, bench) for run in runs]
    assert [(member.variant, member.state) for member in members] == [
        ("left", RunState.TRAINED),
        ("right", RunState.TRAINED),
    ]
    assert [[*member.data_sha256] for member in members] == [["1.npz"], ["2.npz"]]
    assert [*record.data_sha256] == ["1.npz", "2.npz"]
    assert not bench.store.versions("tiny")
    assert record.metrics["accuracy"] > max(member.metrics["accuracy"] for member in members)
    assert sum(card.lineage.config["weights"]) == pytest.approx(1)
    assert card.description == "the weighted average of 2 models"
    assert all((bench.runs / run / "report.html").is_file() for run in (record.id, *runs))
    with pytest.raises(FailedPrecondition, match=f"Received: {runs[0]}, without which"):
        ensemble(EnsembleRequest((*runs, runs[0])), bench)
    with pytest.raises(FailedPrecondition, match=f"A member is of tiny, .* Received: {record.id}"):
        ensemble(EnsembleRequest((runs[0], record.id)), bench)


def test_members_of_a_variant_have_seeds_of_their_own_and_are_validated_on_the_same_rows(bench: Bench) -> None:
    there = train(TrainRequest("tiny", "left", ("epochs=1", "seed=7"), publish=False), bench)
    asked = ("tiny/left", there.id, "tiny/left", "tiny/right")

    runs = find_members(MembersRequest(asked, ("epochs=1", "seed=6")), bench)

    members = [record_of(run, bench) for run in runs]
    assert runs[1] == there.id
    assert [(member.variant, member.seed) for member in members] == [
        ("left", 6),
        ("left", 7),
        ("left", 8),
        ("right", 6),
    ]
    assert [config_of(member).rows_seed for member in members] == [7] * 4
    assert members[0].final != members[2].final


def config_of(record: RunRecord) -> TinyConfig:
    return TinyConfig.model_validate(record.config)


def test_when_a_member_fails_the_others_are_kept_and_the_command_can_be_gone_on_with(bench: Bench) -> None:
    plugin = bench.plugin
    assert isinstance(plugin, HalfSighted)
    plugin.blind = "left"
    with pytest.raises(FailedPrecondition) as fault:
        find_members(MembersRequest(("tiny/left", "tiny/right"), ("epochs=1",)), bench)
    failed, kept = read_records(bench.runs)
    assert (failed.state, kept.state) == (RunState.FAILED, RunState.TRAINED)
    assert "ValueError: blind on the left (test_ensemble.py, line" in failed.error
    assert f"Received: {failed.id} ({failed.error})" in fault.value.message
    assert fault.value.message.endswith(f"tensorgate ensemble --resume {failed.id} {kept.id}")

    plugin.blind = None
    with pytest.raises(FailedPrecondition, match=rf"\(--resume\)\. Received: {failed.id}, failed"):
        find_members(MembersRequest((failed.id, kept.id)), bench)
    with pytest.raises(InvalidArgument, match=r"members to train\. Received: epochs=2"):
        find_members(MembersRequest((failed.id, kept.id), ("epochs=2",), resume=True), bench)
    assert find_members(MembersRequest((failed.id, kept.id), resume=True), bench) == (failed.id, kept.id)
    assert record_of(failed.id, bench).state is RunState.TRAINED
    assert record_of(kept.id, bench) == kept


def test_a_member_that_was_killed_after_its_evaluation_is_gone_on_with_to_its_end(bench: Bench) -> None:
    members = find_members(MembersRequest(("tiny/left", "tiny/right"), ("epochs=1",)), bench)
    killed = bench.runs / members[0]
    whole = read_record(killed)
    write_record(killed, whole.model_copy(update={"state": RunState.RUNNING}))
    (killed / "report.html").unlink()
    assert find_members(MembersRequest(members, resume=True), bench) == members
    assert (read_record(killed).state, read_record(killed).metrics) == (RunState.TRAINED, whole.metrics)
    assert (killed / "report.html").is_file()


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (MembersRequest(("tiny/left",)), "two different members or more. Received: tiny/left"),
        (MembersRequest(("tiny/left", "tiny/folded")), "A member is of tiny, .* Received: tiny/folded"),
        (MembersRequest(("tiny/left", "mnist/dense")), "A member is of tiny, .* Received: mnist/dense"),
        (MembersRequest(("tiny/left", "tiny/middle")), "one of: left, right, folded. Received: 'middle'"),
        (MembersRequest(("tiny/left", "tiny/right"), ("height=3",)), "Received: 'height'"),
        (MembersRequest(("tiny/left", "nothing")), "A run is one of the folders .* Received: 'nothing'"),
    ],
)
def test_members_that_cannot_be_are_refused_before_any_is_trained(
    request_: MembersRequest, says: str, bench: Bench
) -> None:
    with pytest.raises(TensorgateError, match=says):
        find_members(request_, bench)
    assert not bench.runs.exists()
