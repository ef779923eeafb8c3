"""One model on several devices, of one process and of several: real processes, on processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.contract import Array
from services.core.errors import InvalidArgument
from services.store import open_store
from services.trainer.engines import LOCAL, RAY, crew_of
from services.trainer.fit.batches import Share, batches, evaluation_steps, shared_batches, shared_evaluation
from services.trainer.run_record import RunRecord, RunState, read_records
from services.trainer.settings import TrainerSettings
from tests.ports import free_port
from tests.trainer.plain_plugin import state
from tests.trainer.tiny_plugin import TinyConfig, draw

ROOT = Path(__file__).parent.parent.parent


def begin(script: str, home: Path, **variables: str) -> subprocess.Popen[str]:
    """A script of this folder in a process of its own."""
    home.mkdir()
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), str(home)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What came of training on two devices of one process."""
    home = tmp_path_factory.mktemp("devices") / "home"
    process = begin("train_on_two_devices.py", home)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    said: Mapping[str, Any] = json.loads(out.splitlines()[-1])
    manifest = open_store(str(home / "store")).manifest("tiny", 1)
    said = {**said, "files": {file.path for file in manifest.files}}
    return {**said, "states": [state(home / name) for name in ("one", "two")]}


@pytest.mark.timeout(300)
def test_two_devices_learn_what_one_does_even_when_they_are_stopped_in_between(told: Mapping[str, Any]) -> None:
    one, two = (told["figures"][name] for name in ("one", "two"))
    assert set(one["history"]) == set(two["history"]) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    for name, values in one["history"].items():
        np.testing.assert_allclose(two["history"][name], values, rtol=1e-5)
    assert two["metrics"] == pytest.approx(one["metrics"], rel=1e-5)
    for single, spread in zip(*told["states"], strict=True):
        np.testing.assert_allclose(spread, single, rtol=1e-4, atol=1e-6)


def test_what_several_devices_have_trained_is_published_from_one(told: Mapping[str, Any]) -> None:
    assert told["variables"] == ["ResourceVariable"]
    published = RunRecord.model_validate(told["published"])
    assert told["files"] == {
        "assets.extra/card.json",
        "assets.extra/tf_serving_warmup_requests",
        "fingerprint.pb",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    }
    assert (published.state, published.version, published.config["devices"]) == (RunState.PUBLISHED, 1, 2)


def test_the_devices_of_all_workers_have_each_batch_together_and_a_row_that_cannot_be_shared_is_left_out() -> None:
    samples, config = draw(43, 1), TinyConfig(batch_size=16, devices=4)

    def parts(number: int) -> list[Array]:
        share = Share(number, 2)
        return [rows for rows, _ in shared_batches(samples, config, 1, range(2), share).as_numpy_iterator()]

    whole = [rows for rows, _ in batches(samples, config, 1, range(2)).as_numpy_iterator()]
    assert [len(rows) for rows in whole] == [16, 16, 8] * 2
    workers = [parts(number) for number in range(2)]
    for step, rows in enumerate(whole):
        mine = [workers[number][2 * step + device] for device in range(2) for number in range(2)]
        assert len({len(part) for part in mine}) == 1
        np.testing.assert_array_equal(np.concatenate(mine), rows)


@pytest.mark.parametrize(("rows", "steps"), [(4, 1), (129, 2), (385, 4)])
def test_all_devices_judge_all_samples_once_as_often_as_each_other_and_none_of_them_nothing(
    rows: int, steps: int
) -> None:
    samples, config = draw(rows, 1), TinyConfig(batch_size=16, devices=4)
    parts = [list(shared_evaluation(samples, config, Share(number, 2)).as_numpy_iterator()) for number in range(2)]
    assert [len(each) for each in parts] == [2 * steps, 2 * steps] == [2 * evaluation_steps(samples)] * 2
    in_order = [inputs for pair in zip(*parts, strict=True) for inputs, _ in pair]
    assert max(map(len, in_order)) - 1 <= min(map(len, in_order)) > 0
    np.testing.assert_array_equal(np.concatenate(in_order), samples.inputs)


def test_what_several_devices_would_train_otherwise_than_one_is_refused(told: Mapping[str, Any]) -> None:
    own, too_many, uneven, xla = told["refused"]
    assert "Received: devices=2, and Players with its own train_step" in own
    assert "Received: devices=3, and here are CPU:0, CPU:1" in too_many
    assert "Received: batch_size=15 and devices=2" in uneven
    assert "Received: jit_compile and devices=2" in xla


@pytest.mark.timeout(300)
def test_workers_end_with_the_same_weights_and_the_loss_of_one_is_told(tmp_path: Path) -> None:
    port = free_port(1)
    cluster = {"worker": [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]}
    workers = [
        begin(
            "train_as_worker.py",
            tmp_path / str(number),
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": number}}),
        )
        for number in range(2)
    ]
    (out, err), _ = (worker.communicate(timeout=240) for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 9], err
    (first, lost), (follower, _) = (read_records(tmp_path / str(number) / "runs") for number in range(2))
    assert first.folds == follower.folds
    ours, theirs = (state(tmp_path / str(number) / "runs" / run.id) for number, run in enumerate((first, follower)))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first.state, follower.state) == (RunState.REJECTED, RunState.KILLED)  # it is not the follower's to judge
    assert first.metrics and not follower.metrics
    assert lost.state is RunState.FAILED
    assert "lost: Workers train together until all are done. Received:" in out


def test_only_workers_that_tf_config_names_train_together() -> None:
    def crew(engine: str, **cluster: list[str]) -> object:
        return crew_of(engine, TrainerSettings.model_validate({"TF_CONFIG": json.dumps({"cluster": cluster})}))

    assert crew_of(LOCAL, TrainerSettings()) is crew(LOCAL, worker=["here:1"]) is None
    with pytest.raises(InvalidArgument, match="Received: chief, worker"):
        crew(LOCAL, chief=["here:1"], worker=["here:2"])
    with pytest.raises(InvalidArgument, match="Received: --engine ray"):
        crew(RAY, worker=["here:1", "there:1"])
