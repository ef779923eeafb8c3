"""Tensorgate itself, over its own model server and over a TensorFlow Serving."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from services.core.tensors import Array
from tests.benchmarks.peers.contender import Contender, Door, Process, Start
from tests.benchmarks.peers.workloads import FIELD
from tests.ports import free_port


def _rows(row: Array) -> object:
    return {"instances": [row.tolist()]}


def _first(answer: dict[str, list[object]]) -> object:
    return answer["predictions"][0]


def _by_label(answer: dict[str, list[dict[str, dict[str, float]]]]) -> list[float]:
    """Typed answers tell scores by label, the highest first; labels here are the columns' numbers."""
    scores = answer["predictions"][0]["scores"]
    return [scores[label] for label in sorted(scores, key=int)]


TYPED = Door("/api/models/{model}/classify", lambda row: {"instance": {FIELD: row.tolist()}}, _by_label, "typed")
PREDICT = Door("/v1/models/{model}:predict", _rows, _first, "`:predict`")


def _processes(start: Start) -> Sequence[Process]:
    ports = ("--http-port", str(start.port), "--grpc-port", str(free_port()))
    return (
        Process(
            (sys.executable, "-m", "services.cli", "serve", *ports),
            {**os.environ, "TENSORGATE_HOME": str(start.served.home)},
        ),
    )


TENSORGATE = Contender("Tensorgate", (TYPED, PREDICT), _processes)


def over_tensorflow_serving(grpc: str, rest: str) -> Contender:
    """Mirror and gateway over that server, whose models become ours; and the server's own REST.

    `grpc` and `rest` are HOST:PORT. The server runs on this machine: it reads the models where the mirror puts them.
    """

    def settings(start: Start) -> Mapping[str, str]:
        home = start.served.home
        mirror = {"STORE": f"{home}/store", "FOLDER": f"{home}/mirror", "MODEL_SERVER": grpc}
        gateway = {
            "STORE": f"{home}/store",
            "MODEL_SERVER": grpc,
            "HTTP_PORT": str(start.port),
            "GRPC_PORT": str(free_port()),
        }
        return {
            **os.environ,
            **{f"TENSORGATE_MIRROR_{key}": value for key, value in mirror.items()},
            **{f"TENSORGATE_GATEWAY_{key}": value for key, value in gateway.items()},
        }

    def processes(start: Start) -> Sequence[Process]:
        environment = settings(start)
        return tuple(Process((sys.executable, "-m", f"services.{room}"), environment) for room in ("mirror", "gateway"))

    own = Door(PREDICT.path, _rows, _first, "its own REST", f"http://{rest}")
    through = Door(PREDICT.path, _rows, _first, "through the gateway")
    return Contender("TensorFlow Serving", (through, own), processes)
