"""The serving side as it really runs: store, mirror, embedded model server and gateway, each a process."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.core.card import CARD_PATH, Card, InputField, OutputField, SignatureCard, Task
from services.store import open_store
from tests.gateway.models import png
from tests.gateway.test_bad_input import b64
from tests.gateway.test_process import started
from tests.polling import until

CONFORMANCE = os.environ.get("TENSORGATE_CONFORMANCE", "")

pytestmark = pytest.mark.skipif(not CONFORMANCE, reason="TENSORGATE_CONFORMANCE names no folder of SavedModels")

HALF = SignatureCard(
    task=Task.REGRESS,
    inputs=(InputField(name="x", dtype="float32"),),
    outputs=(OutputField(name="y", dtype="float32", content="values"),),
    example={"x": 1.0},
)
MEAN = SignatureCard(
    task=Task.REGRESS,
    inputs=(InputField(name="image_bytes", dtype="string", content="image"),),
    outputs=(OutputField(name="mean", dtype="float32", content="values"),),
    example={},
)


@dataclass(frozen=True)
class Site:
    """A running system: where to ask, and the store behind it."""

    rest: httpx.Client
    root: Path

    def publish(self, name: str, version: str, signature: SignatureCard) -> int:
        """Publish a recorded SavedModel with a card, and label it stable."""
        folder = self.root / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(Path(CONFORMANCE) / "models" / name / version, folder)
        (folder / CARD_PATH).parent.mkdir(exist_ok=True)
        (folder / CARD_PATH).write_text(_card(name, signature).model_dump_json())
        store = open_store(str(self.root / "store"))
        number = store.publish(name, folder)
        store.move_label(name, "stable", number)
        return number

    def regress(self, model: str, instance: dict[str, Any]) -> httpx.Response:
        """One request."""
        return self.rest.post(f"/api/models/{model}/regress", json={"instance": instance})


def _card(name: str, signature: SignatureCard) -> Card:
    lineage = {"plugin": name, "variant": "", "run": "", "seed": 1, "config": {}, "created": "2026-01-01T00:00:00Z"}
    facts = {"model": name, "task": signature.task, "title": name, "description": "", "metrics": {}, "baseline": {}}
    return Card.model_validate({**facts, "signatures": {"serving_default": signature}, "lineage": lineage})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All three processes over a store with two recorded models."""
    root = tmp_path_factory.mktemp("site")
    python = (sys.executable, "-m")
    with ExitStack() as stack:
        flags = ("--port=0", "--rest_api_port=0")
        _, server = stack.enter_context(started([*python, "services.model_server", *flags]))
        address, store = f"127.0.0.1:{server['grpc_port']}", root / "store"
        mirror = {"store": store, "folder": root / "mirror", "model_server": address, "grace_seconds": 1}
        stack.enter_context(started([*python, "services.mirror"], "mirror", **mirror))
        command = [*python, "services.gateway"]
        _, listening = stack.enter_context(
            started(command, store=store, model_server=address, http_port=0, grpc_port=0)
        )
        base = f"http://127.0.0.1:{listening['http_port']}"
        here = Site(stack.enter_context(httpx.Client(base_url=base, timeout=30)), root)
        here.publish("half_plus_two", "1", HALF)
        here.publish("image", "1", MEAN)
        until(lambda: here.regress("half_plus_two", {"x": 1}).status_code == 200, seconds=90)
        until(lambda: here.regress("image", {"image_bytes": b64(png())}).status_code == 200, seconds=90)
        yield here


def test_both_doors_answer_with_the_models_numbers(site: Site) -> None:
    assert site.regress("half_plus_two", {"x": 3}).json()["predictions"] == [{"y": 3.5}]
    answer = site.rest.post("/v1/models/half_plus_two:predict", json={"instances": [1, 2]})
    assert answer.json() == {"predictions": [2.5, 3.0]}


def test_a_picture_that_only_the_graph_finds_broken_fails_alone(site: Site) -> None:
    def ask(number: int) -> httpx.Response:
        data = png(8, 8, salt=number)
        return site.regress("image", {"image_bytes": b64(data[:40] if number % 5 == 0 else data)})

    with ThreadPoolExecutor(20) as pool:
        for number, answer in enumerate(pool.map(ask, range(100))):
            if number % 5 == 0:
                assert answer.status_code == 400
                assert "[[" not in answer.json()["error"]["message"]  # no names of graph nodes
            else:
                assert answer.json()["predictions"] == [{"mean": number}]


def test_a_new_version_answers_soon_and_not_one_request_fails(site: Site) -> None:
    old = site.regress("half_plus_two", {"x": 3}).json()["version"]
    seen: list[int] = []

    def hammer(_: int) -> None:
        while seen.count(old + 1) < 200:
            answer = site.regress("half_plus_two", {"x": 3})
            assert answer.status_code == 200, answer.text
            seen.append(answer.json()["version"])

    with ThreadPoolExecutor(3) as pool:
        work = pool.map(hammer, range(3))
        assert site.publish("half_plus_two", "2", HALF) == old + 1
        list(work)
    assert set(seen) == {old, old + 1}
