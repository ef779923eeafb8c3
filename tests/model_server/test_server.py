"""The whole server as a process, with the small models of the recorded exchanges."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.model_server.server_process import AVAILABLE, ENDED, Client, conformance, predict_request, running
from tests.polling import until

HALF = {"x": np.array([2.0], np.float32)}
RELOADS = 50
WAITING = 128
MOST_GROWTH_BYTES = 40 << 20


@pytest.fixture(scope="module")
def models() -> Path:
    folder = conformance()
    if folder is None:
        pytest.skip("TENSORGATE_CONFORMANCE does not name the folder of the recorded exchanges")
    return folder / "models"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Client]:
    with running(("--port=0", "--max_num_load_retries=0"), tmp_path_factory.mktemp("server") / "log") as client:
        yield client


def _copy(models: Path, source: str, target: Path) -> None:
    beside = target.parent / f".{target.name}.tmp"
    shutil.copytree(models / source, beside)
    beside.rename(target)


def test_a_server_without_models_takes_them_by_reload(client: Client, models: Path) -> None:
    with pytest.raises(grpc.RpcError, match="Servable not found for request: Latest"):
        client.predict("half_plus_two", HALF)
    client.reload({"half_plus_two": models / "half_plus_two"})
    assert client.predict("half_plus_two", HALF)["y"].tolist() == [201.0]


def test_a_half_copied_version_hurts_nobody(client: Client, models: Path, tmp_path: Path) -> None:
    _copy(models, "half_plus_two/1", tmp_path / "1")
    client.reload({"half_copied": tmp_path})
    (tmp_path / "2").mkdir()
    shutil.copy(models / "half_plus_two/2/saved_model.pb", tmp_path / "2")
    (tmp_path / "2/saved_model.pb").write_bytes((tmp_path / "2/saved_model.pb").read_bytes()[:-100])
    until(lambda: client.states("half_copied") == {1: AVAILABLE, 2: ENDED}, 5)
    assert client.predict("half_copied", HALF)["y"].tolist() == [3.0]
    _copy(models, "half_plus_two/3", tmp_path / "3")
    until(lambda: client.states("half_copied").get(3) == AVAILABLE, 10)
    assert client.predict("half_copied", HALF)["y"].tolist() == [201.0]


def test_not_one_request_fails_while_versions_change(client: Client, models: Path, tmp_path: Path) -> None:
    _copy(models, "half_plus_two/1", tmp_path / "1")
    client.reload({"m": tmp_path})
    answers: set[float] = set()
    _copy(models, "half_plus_two/2", tmp_path / "2")

    def replaced() -> bool:
        answers.add(float(client.predict("m", HALF)["y"][0]))
        return client.states("m") == {1: ENDED, 2: AVAILABLE}

    until(replaced, 10, every=0.001)
    assert float(client.predict("m", HALF)["y"][0]) == 21.0
    assert answers <= {3.0, 21.0}


def test_an_expired_deadline_is_answered_at_once(client: Client, models: Path) -> None:
    client.reload({"slow": models / "slow"})
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as refused:
        client.predict("slow", {"x": np.ones(1, np.float32)}, timeout=0.1)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 0.4


def test_a_slow_model_does_not_hold_up_another(client: Client, models: Path) -> None:
    client.reload({"slow": models / "slow", "half_plus_two": models / "half_plus_two"})
    client.predict("slow", {"x": np.ones(1, np.float32)})
    request = predict_request("slow", {"x": np.ones(1, np.float32)})
    busy = [client.prediction.Predict.future(request, timeout=60) for _ in range(8)]
    began = time.monotonic()
    for _ in range(10):
        client.predict("half_plus_two", HALF)
    elapsed = time.monotonic() - began
    assert not all(call.done() for call in busy)
    assert elapsed < 1.0
    for call in busy:
        call.result()


def test_a_cancelled_request_that_waits_is_never_run(client: Client, models: Path) -> None:
    client.reload({"slow": models / "slow"})
    request = predict_request("slow", {"x": np.ones(1, np.float32)})
    began = time.monotonic()
    client.prediction.Predict(request, timeout=60)
    alone = time.monotonic() - began
    calls = [client.prediction.Predict.future(request, timeout=60) for _ in range(WAITING)]
    until(lambda: client.states("slow") != {}, 5)  # an answer to a later call: the server has the others
    for call in calls:
        call.cancel()
    began = time.monotonic()
    client.prediction.Predict(request, timeout=60)
    assert time.monotonic() - began < alone * WAITING / (os.cpu_count() or 1) / 2


def test_memory_levels_off_over_many_reloads(client: Client, models: Path) -> None:
    sizes = []
    for _ in range(RELOADS):
        client.reload({"mlp": models / "mlp"})
        client.predict("mlp", {"features": np.ones((1, 4), np.float32)})
        client.reload({})
        until(lambda: set(client.states("mlp").values()) == {ENDED}, 10, every=0.005)
        sizes.append(client.resident_bytes())
    print("resident MiB after each of the reloads:", [size >> 20 for size in sizes])
    assert sizes[-1] - sizes[RELOADS // 5] < MOST_GROWTH_BYTES


def test_requests_at_the_same_time_get_their_own_answers(client: Client, models: Path) -> None:
    client.reload({"half_plus_two": models / "half_plus_two"})

    def ask(value: int) -> float:
        return float(client.predict("half_plus_two", {"x": np.array([value], np.float32)})["y"][0])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(200))) == [0.5 * value + 200 for value in range(200)]
