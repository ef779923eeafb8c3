"""`tune-batching`: what is measured, and what follows from it."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.batch_sizes import Batching, Measured, batch_rows, batching
from services.core.card import WARMUP_PATH
from services.core.errors import InvalidArgument, Unavailable
from services.core.tfs import prediction_log_pb2
from services.store import open_store
from tests.model_server.server_process import conformance, predict_request, running
from tests.ports import free_port


def alone(*milliseconds: float) -> list[Measured]:
    """Calls of one row, two, four and so on."""
    sizes = [2**power for power in range(len(milliseconds))]
    return [Measured(rows, 1, ms / 1000, rows / ms * 1000) for rows, ms in zip(sizes, milliseconds, strict=True)]


def together(*rows_a_second: float) -> list[Measured]:
    """One call at a time, two, four and so on."""
    return [Measured(8, 2**power, 0.01, rate) for power, rate in enumerate(rows_a_second)]


def test_where_many_rows_cost_as_much_as_one_batches_are_large_and_others_are_waited_for() -> None:
    found = batching(alone(11, 11, 11, 11, 12, 20), together(2600, 2650), most_seconds=0.1)
    assert found == Batching(rows=32, batch_timeout_micros=2000, num_batch_threads=1, allowed_batch_sizes=(16, 32))


def test_where_each_row_costs_as_much_nothing_is_gained_by_batches_and_nobody_waits() -> None:
    found = batching(alone(1, 2, 4, 8), together(1000, 1990, 2000), most_seconds=0.1)
    assert found == Batching(rows=1, batch_timeout_micros=0, num_batch_threads=2, allowed_batch_sizes=(1,))


def test_a_call_takes_no_longer_than_was_said() -> None:
    measured = alone(10, 12, 16, 24, 40)
    assert batch_rows(measured, 0.1) == 16
    assert batch_rows(measured, 0.02) == 4
    with pytest.raises(InvalidArgument, match=r"at most 5 ms. Received: 10\.0 ms"):
        batch_rows(measured, 0.005)


TIMES = st.lists(st.floats(0.1, 1000), min_size=1, max_size=9)


@given(TIMES, TIMES)
def test_the_parameters_are_such_as_tensorflow_serving_takes(
    milliseconds: Sequence[float], rates: Sequence[float]
) -> None:
    found = batching(alone(*milliseconds), together(*rates), most_seconds=1)
    assert list(found.allowed_batch_sizes) == sorted(set(found.allowed_batch_sizes))
    assert found.allowed_batch_sizes[-1] == found.rows  # else it refuses to start
    assert found.batch_timeout_micros >= 0
    assert found.num_batch_threads >= 1


def test_the_file_has_the_fields_of_batching_parameters() -> None:
    assert Batching(8, 100, 2, (4, 8)).text().splitlines() == [
        "max_batch_size { value: 1024 }",
        "max_execution_batch_size { value: 8 }",
        "batch_timeout_micros { value: 100 }",
        "num_batch_threads { value: 2 }",
        "max_enqueued_batches { value: 256 }",
        "enable_large_batch_splitting { value: true }",
        "allowed_batch_sizes: 4",
        "allowed_batch_sizes: 8",
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose store has three versions of `half`, as the corpus has; they warm up with one row."""
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("half", {"x": np.ones(1, np.float32)}))
    log.predict_log.request.model_spec.signature_name = "serving_default"
    record = log.SerializeToString()
    warmup = tmp_path / "model" / WARMUP_PATH
    warmup.parent.mkdir(parents=True)
    warmup.write_bytes(struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4))
    store = open_store(str(tmp_path / "store"))
    for _ in range(3):
        store.move_label("half", "stable", store.publish("half", tmp_path / "model"))
    return tmp_path


@pytest.mark.skipif(conformance() is None, reason="TENSORGATE_CONFORMANCE names no folder of SavedModels")
def test_a_model_server_is_measured_and_the_file_written(home: Path) -> None:
    base_path, out = f"{conformance()}/models/half_plus_two", home / "batching.config"
    flags = ["--port=0", "--rest_api_port=0", "--model_name=half", f"--model_base_path={base_path}"]
    with running(flags, home / "log") as server:
        server.settle(["half"])
        asked = ["tune-batching", "half", "--model-server", f"127.0.0.1:{server.ports['grpc_port']}"]
        words = [*asked, "--out", str(out), "--most-rows", "8", "--seconds", "0"]
        run = CliRunner().invoke(app, words, env={"TENSORGATE_HOME": str(home)})
    assert run.exit_code == 0, run.exception
    (most,) = re.findall(r"^max_execution_batch_size \{ value: (\d+) \}$", out.read_text(), re.MULTILINE)
    assert int(most) in (1, 2, 4, 8)
    assert f"TENSORGATE_GATEWAY_BATCH_ROWS={most}" in run.stdout
    assert len(re.findall(r"^\d+ +\d+ +[\d.]+ +[\d,]+ *$", run.stdout, re.MULTILINE)) == 8, run.stdout


def test_a_model_server_that_is_not_there_and_a_signature_that_is_not_are_told(home: Path) -> None:
    def error(*words: str) -> BaseException | None:
        return CliRunner().invoke(app, ["tune-batching", "half", *words], env={"TENSORGATE_HOME": str(home)}).exception

    assert isinstance(error("--model-server", f"127.0.0.1:{free_port()}"), Unavailable)
    assert "warms up ['serving_default']. Received: signature 'other'" in str(error("--signature", "other"))
