"""A gateway process over the fuzzers' model server, and the question that tells whether it answers as it should."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from services.core.card import CARD_PATH
from services.core.refs import STABLE
from services.store import open_store
from tests.fuzz.backend import MODELS
from tests.fuzz.parsers import BODY_BYTES
from tests.gateway.models import card_of
from tests.gateway.test_process import started
from tests.polling import until

PATIENCE = 20.0  # seconds that no answer takes
_LOOK_EVERY = 5000


@dataclass
class Target:
    """A gateway's process and ports; `cases` counts what was sent to it, by door."""

    pid: int
    http_port: int
    grpc_port: int
    cases: dict[str, int] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def count(self, door: str) -> None:
        """One more case."""
        self.cases[door] = self.cases.get(door, 0) + 1
        if sum(self.cases.values()) % _LOOK_EVERY == 0:
            self.memory.append(self.resident // 1024)

    def told(self) -> str:
        """What was sent, and the memory on the way."""
        return (
            f"{sum(self.cases.values())} cases: {self.cases}; memory every {_LOOK_EVERY}, in MB: {self.memory}, "
            f"at the end {self.resident // 1024}"
        )

    @property
    def resident(self) -> int:
        """Kilobytes of memory that the process has."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def number(self) -> int:
        """One that no request has had."""
        return next(self._numbers)

    def check_own(self, connection: http.client.HTTPConnection) -> None:
        """A right request with a number of its own is answered by that number's answer."""
        number = self.number()
        connection.request("POST", "/v1/models/affine:predict", json.dumps({"instances": [number]}))
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {"predictions": [number / 2 + 2]})

    def connect(self) -> http.client.HTTPConnection:
        """A connection that waits for nothing longer than patience goes."""
        return http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE)


@contextmanager
def running(**settings: Any) -> Iterator[Target]:
    """Both processes, ready."""
    with (
        TemporaryDirectory() as folder,
        started([sys.executable, "-m", "tests.fuzz.backend"]) as (_, server),
    ):
        _publish(Path(folder))
        chosen = {"store": folder, "model_server": server["address"], "http_port": 0, "grpc_port": 0, **settings}
        command = [sys.executable, "-m", "services.gateway"]
        with started(command, body_bytes=BODY_BYTES, **chosen) as (process, ports):
            target = Target(process.pid, ports["http_port"], ports["grpc_port"])
            until(lambda: _all_live(target), seconds=20)
            yield target


def _publish(folder: Path) -> None:
    store = open_store(str(folder))
    for name, model in MODELS.items():
        with TemporaryDirectory() as version:
            card = Path(version) / CARD_PATH
            card.parent.mkdir()
            card.write_text(card_of(name, model).model_dump_json())
            store.move_label(name, STABLE, store.publish(name, Path(version)))


def _all_live(target: Target) -> bool:
    models = httpx.get(f"http://127.0.0.1:{target.http_port}/api/models").json()["models"]
    return len(models) == len(MODELS) and all(model["versions"] for model in models)
