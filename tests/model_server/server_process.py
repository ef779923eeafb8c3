"""The model server as a real process on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.core.tensors import Array, from_proto, to_proto
from services.core.tfs import get_model_status_pb2, model_management_pb2, model_server_config_pb2, predict_pb2
from services.core.tfs_stubs import model_service_pb2_grpc, prediction_service_pb2_grpc
from tests.polling import until

ROOT = Path(__file__).parents[2]
_NO_PROXY = [("grpc.enable_http_proxy", 0)]
AVAILABLE = 30
ENDED = 50


def conformance() -> Path | None:
    """The folder of the recorded exchanges and their models, when there is one."""
    folder = os.environ.get("TENSORGATE_CONFORMANCE")
    return Path(folder) if folder and Path(folder).is_dir() else None


@dataclass(frozen=True)
class Client:
    """A caller of one running server."""

    process: subprocess.Popen[str]
    ports: Mapping[str, int]
    prediction: prediction_service_pb2_grpc.PredictionServiceStub
    models: model_service_pb2_grpc.ModelServiceStub

    def predict(self, name: str, inputs: Mapping[str, Array], timeout: float = 20.0) -> Mapping[str, Array]:
        response = self.prediction.Predict(predict_request(name, inputs), timeout=timeout)
        return {alias: from_proto(tensor) for alias, tensor in response.outputs.items()}

    def reload(self, base_paths: Mapping[str, Path], specific: Sequence[int] = (), timeout: float = 60.0) -> None:
        config = model_server_config_pb2.ModelServerConfig()
        config.model_config_list.SetInParent()
        for name, base_path in base_paths.items():
            model = config.model_config_list.config.add(
                name=name, base_path=str(base_path), model_platform="tensorflow"
            )
            if specific:
                model.model_version_policy.specific.versions.extend(specific)
        self.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(config=config), timeout=timeout)

    def states(self, name: str) -> Mapping[int, int]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        answered = self.models.GetModelStatus(request, timeout=20)
        return {entry.version: entry.state for entry in answered.model_version_status}

    def settle(self, names: Sequence[str]) -> None:
        """Wait for the last version of these models: the ports open with the first of each."""
        until(lambda: all(set(self.states(name).values()) <= {AVAILABLE, ENDED} for name in names), seconds=60)

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def predict_request(name: str, inputs: Mapping[str, Array]) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for alias, array in inputs.items():
        request.inputs[alias].CopyFrom(to_proto(array))
    return request


def start(flags: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The process, started, in our environment or another; it prints its ports when it is ready."""
    command = [sys.executable, "-m", "services.model_server", *flags]
    with log.open("w") as stderr:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def running(flags: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Client]:
    """A server that is ready, stopped at the end."""
    process = start(flags, log, environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server did not start:\n{log.read_text()[-2000:]}"
        ports = json.loads(line)
        with grpc.insecure_channel(f"127.0.0.1:{ports['grpc_port']}", options=_NO_PROXY) as channel:
            yield Client(
                process,
                ports,
                prediction_service_pb2_grpc.PredictionServiceStub(channel),
                model_service_pb2_grpc.ModelServiceStub(channel),
            )
    finally:
        stop(process)
