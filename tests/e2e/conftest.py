"""A home folder with the four starter models, trained briefly, and a `tensorgate serve` over it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from services.core.card import Card
from services.store import open_store
from tests.polling import until
from tests.ports import free_port

COMMAND = (sys.executable, "-m", "services.cli")
STARTERS = {
    "boston_housing": ["--set", "epochs=5", "--force"],
    "mnist": ["--set", "epochs=1", "--set", "samples=6000"],
    "digits_vae": ["--set", "epochs=1", "--set", "samples=1536", "--force"],
    "nietzsche": ["--set", "epochs=1", "--set", "samples=1640", "--force"],
}


@dataclass(frozen=True)
class Home:
    """A home folder and how to run the command in it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TENSORGATE_HOME": str(self.folder)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `tensorgate WORDS`; the caller looks at the exit code."""
        return subprocess.run([*COMMAND, *words], env=self.environment, capture_output=True, text=True, timeout=400)

    def publish_again(self, model: str) -> int:
        """Make the newest version of a model the next one as well; no label points at it yet."""
        store = open_store(str(self.folder / "store"))
        with TemporaryDirectory() as folder:
            store.fetch(model, store.versions(model)[-1], Path(folder))
            return store.publish(model, Path(folder))


@dataclass
class Served:
    """A running `tensorgate serve`."""

    home: Home
    http: str
    grpc: str
    process: subprocess.Popen[str]

    def models(self) -> dict[str, list[int]]:
        """Versions that can be called now, by model; empty while the gateway is not there."""
        try:
            answer = httpx.get(f"{self.http}/api/models").json()
        except httpx.TransportError:
            return {}
        return {model["name"]: model["versions"] for model in answer["models"]}

    def card(self, model: str) -> Card:
        """What can be asked of a model."""
        return Card.model_validate(httpx.get(f"{self.http}/api/models/{model}").json()["card"])


def start(home: Home) -> Served:
    """Start `tensorgate serve` on free ports; does not wait."""
    http_port, grpc_port = free_port(), free_port()
    process = subprocess.Popen(
        [*COMMAND, "serve", "--http-port", str(http_port), "--grpc-port", str(grpc_port)],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Served(home, f"http://127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}", process)


def stop(served: Served) -> str:
    """Ctrl-C; returns what was printed."""
    if served.process.poll() is None:
        served.process.send_signal(signal.SIGINT)
    printed, _ = served.process.communicate(timeout=60)
    return printed


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An empty store, then the four starters: each trained for an epoch or so, published, and labelled afterwards."""
    home = Home(tmp_path_factory.mktemp("home"))
    for plugin, options in STARTERS.items():
        run = home.run("train", plugin, *options, "--label", "")
        if run.returncode and "could not be fetched" in run.stderr:
            pytest.skip(f"no source of the data of {plugin} is within reach: {run.stderr}")
        assert run.returncode == 0, run.stdout + run.stderr
        assert home.run("label", plugin, "stable").stdout == f"{plugin}@stable -> 1\n"
    return home


@pytest.fixture(scope="session")
def served(trained: Home) -> Iterator[Served]:
    """All four models live."""
    served = start(trained)
    until(lambda: all(served.models().get(plugin) for plugin in STARTERS), seconds=90)
    yield served
    stop(served)
