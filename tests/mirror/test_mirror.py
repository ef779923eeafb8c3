"""The mirror as a process, between a real store and the real embedded model server.

`make conformance TFS=host:port MODELS=folder` has it beside a TensorFlow Serving that runs already and finds that
folder at the same path: what does not need a server killed is asked of it, too.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import pytest

from services.core.tfs import predict_pb2
from services.core.tfs_stubs import prediction_service_pb2_grpc
from services.store import Store, open_store
from tests.polling import until
from tests.ports import free_port
from tests.saved_models import write_affine

TFS, MODELS = os.environ.get("TENSORGATE_TFS", ""), os.environ.get("TENSORGATE_TFS_MODELS", "")
kills_server = pytest.mark.skipif(bool(TFS), reason="TENSORGATE_TFS is a server that is not ours to kill")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two versions of y = a x + b; each answers 0 with its own number."""
    folder = tmp_path_factory.mktemp("models")
    return write_affine(folder / "one", 0.5, 1.0), write_affine(folder / "two", 0.5, 2.0)


@dataclass
class World:
    """A store, a model server and a mirror."""

    folder: Path
    mirrored: Path
    address: str = field(default_factory=lambda: TFS or f"127.0.0.1:{free_port()}")
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / "store"))

    def start_model_server(self) -> None:
        flags = (f"--port={self.address.rpartition(':')[2]}", "--rest_api_port=0", "--max_num_load_retries=0")
        self._start("model_server", "services.model_server", *flags)

    def start_mirror(self) -> None:
        self._start("mirror", "services.mirror")

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].communicate()

    def _start(self, name: str, module: str, *flags: str) -> None:
        environment = {
            **os.environ,
            "TENSORGATE_MIRROR_STORE": str(self.folder / "store"),
            "TENSORGATE_MIRROR_FOLDER": str(self.mirrored),
            "TENSORGATE_MIRROR_MODEL_SERVER": self.address,
            "TENSORGATE_MIRROR_POLL_SECONDS": "0.1",
            "TENSORGATE_MIRROR_GRACE_SECONDS": "0.5",
        }
        with (self.folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *flags], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def answer(self, model: str = "m", version: int | None = None) -> float | None:
        """What the model says to 0; None while nobody answers."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        request.inputs["x"].dtype = 1
        request.inputs["x"].tensor_shape.dim.add(size=1)
        request.inputs["x"].float_val.append(0.0)
        with grpc.insecure_channel(self.address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            try:
                reply = stub.Predict(request, timeout=5)
            except grpc.RpcError:
                return None
        tensor = reply.outputs["y"]
        values = tensor.float_val or memoryview(tensor.tensor_content).cast("f").tolist()
        return float(values[0])

    def versions_here(self, model: str = "m") -> list[str]:
        folder = self.mirrored / model
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@contextmanager
def world_of(folder: Path) -> Iterator[World]:
    """A world with a model server and a mirror running; all stopped afterwards."""
    mirrored = Path(tempfile.mkdtemp(dir=MODELS)) if TFS else folder / "mirror"
    world = World(folder, mirrored)
    if not TFS:
        world.start_model_server()
    world.start_mirror()
    try:
        if TFS:
            mirrored.chmod(0o755)  # whoever the server runs as
            until(lambda: world.answer() is None, seconds=60)  # it has none of the last test's models
        yield world
    finally:
        for process in world.processes.values():
            process.terminate()
        for process in world.processes.values():
            process.communicate(timeout=30)
        if TFS:
            shutil.rmtree(mirrored)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_of(tmp_path) as world:
        yield world


def _publish(world: World, folder: Path, model: str = "m") -> int:
    version = world.store.publish(model, folder)
    world.store.move_label(model, "stable", version)
    return version


@contextmanager
def _asked_all_the_time(world: World) -> Iterator[list[float]]:
    """Somebody who calls the model over and over; yields what it says, NaN for nothing."""
    answers: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = world.answer()
            answers.append(math.nan if answer is None else answer)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield answers
        finally:
            stop.set()
        asking.result()


def test_a_label_brings_a_version_up_and_its_move_brings_the_next(world: World, models: tuple[Path, Path]) -> None:
    _publish(world, models[0])
    until(lambda: world.answer() == 1.0, seconds=60)
    with _asked_all_the_time(world) as answers:
        _publish(world, models[1])
        until(lambda: world.answer() == 2.0, seconds=20)
        until(lambda: world.versions_here() == ["2"], seconds=20)
    assert set(answers) == {1.0, 2.0}
    assert answers == sorted(answers)
    world.store.move_label("m", "stable", 1)
    until(lambda: world.answer(version=1) == 1.0, seconds=20)


def test_a_damaged_version_is_never_served_and_the_old_one_stays(world: World, models: tuple[Path, Path]) -> None:
    _publish(world, models[0])
    until(lambda: world.answer() == 1.0, seconds=60)
    version = world.store.publish("m", models[1])
    victim = world.folder / "store" / "m" / str(version) / "saved_model.pb"
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    world.store.move_label("m", "stable", version)
    until(lambda: "saved_model.pb: its SHA-256" in (world.folder / "mirror.log").read_text(), seconds=20)
    _publish(world, models[1], model="other")
    until(lambda: world.answer("other") == 2.0, seconds=20)
    assert world.answer() == 1.0
    assert world.versions_here() == ["1"]


def test_a_version_that_cannot_be_loaded_holds_nobody_up(
    world: World, models: tuple[Path, Path], tmp_path: Path
) -> None:
    _publish(world, models[0])
    until(lambda: world.answer() == 1.0, seconds=60)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"not a graph")
    _publish(world, tmp_path / "broken")
    _publish(world, tmp_path / "broken", model="hopeless")
    until(lambda: "hopeless/1 cannot be served (load)" in (world.folder / "mirror.log").read_text(), seconds=30)
    _publish(world, models[1], model="other")
    until(lambda: world.answer("other") == 2.0, seconds=20)
    assert world.answer() == 1.0
    if not TFS:
        world.kill("model_server")
        world.start_model_server()
        until(lambda: world.answer() == 1.0, seconds=60)


@kills_server
def test_a_model_server_that_was_killed_gets_its_models_back(world: World, models: tuple[Path, Path]) -> None:
    _publish(world, models[0])
    until(lambda: world.answer() == 1.0, seconds=60)
    world.kill("model_server")
    world.start_model_server()
    until(lambda: world.answer() == 1.0, seconds=60)


def test_a_mirror_killed_at_any_moment_leaves_whole_versions_only(world: World, models: tuple[Path, Path]) -> None:
    _publish(world, models[0])
    until(lambda: world.answer() == 1.0, seconds=60)
    for kills in range(4):
        _publish(world, models[kills % 2])
        before = len(world.versions_here())
        for _ in range(kills * 40):  # a little later each time: before, while and after it is fetched
            if len(world.versions_here()) != before:
                break
        world.kill("mirror")
        for version in world.versions_here():
            folder = world.mirrored / "m" / version
            manifest = json.loads((folder / "manifest.json").read_text())
            assert all((folder / entry["path"]).stat().st_size == entry["size"] for entry in manifest["files"])
        world.start_mirror()
    until(lambda: world.answer(version=5) == 2.0, seconds=30)
    until(lambda: world.versions_here() == ["5"], seconds=30)
    until(lambda: not list((world.mirrored / ".tmp").iterdir()), seconds=10)


def test_a_store_emptied_and_filled_anew_is_noticed_at_the_next_start(world: World, models: tuple[Path, Path]) -> None:
    _publish(world, models[0])
    until(lambda: world.answer() == 1.0, seconds=60)
    world.kill("mirror")
    subprocess.run(["rm", "-r", str(world.folder / "store")], check=True)
    _publish(world, models[1])
    world.start_mirror()
    until(lambda: world.answer() == 2.0, seconds=30)


def test_a_mirror_that_waits_for_its_store_stops_at_once_when_told_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, and never answers
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {
            **os.environ,
            **{"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
            **{"TENSORGATE_MIRROR_STORE": "s3://bucket", "TENSORGATE_MIRROR_FOLDER": str(tmp_path / "mirror")},
            "TENSORGATE_MIRROR_METRICS_PORT": "0",
        }
        command = [sys.executable, "-m", "services.mirror"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["metrics_port"]
            silent.settimeout(30)
            silent.accept()[0].close()
            pages = f"http://127.0.0.1:{port}"
            assert "tensorgate_mirror_wanted_versions 0.0" in httpx.get(f"{pages}/metrics").text
            assert httpx.get(f"{pages}/livez").status_code == 200
            assert httpx.get(f"{pages}/readyz").status_code == 503
            process.terminate()
            assert process.wait(10) == 0


def test_a_misspelt_setting_stops_the_start() -> None:
    environment = {**os.environ, "TENSORGATE_MIRROR_STOER": "x"}
    run = subprocess.run(
        [sys.executable, "-m", "services.mirror"], env=environment, capture_output=True, text=True, timeout=30
    )
    assert run.returncode == 1
    assert "Received: TENSORGATE_MIRROR_STOER" in run.stderr
