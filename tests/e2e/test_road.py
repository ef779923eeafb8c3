"""The road from a plugin to a prediction, walked from end to end with real processes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from services.core.tryout import Gateway, try_out
from services.stubs.tensorgate.v1 import inference_pb2, inference_pb2_grpc
from tests.e2e.conftest import COMMAND, Home, Served, start, stop
from tests.polling import until

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n"


def _curl(served: Served, model: str, folder: Path) -> str:
    """Run the curl line the command prints for a model, in `folder`."""
    trial = try_out(served.card(model), Gateway(served.http, served.grpc), folder)
    for path, content in trial.files.items():
        path.write_bytes(content)
    run = subprocess.run(["bash", "-c", trial.lines[0]], cwd=folder, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _stub(served: Served) -> inference_pb2_grpc.InferenceStub:
    channel = grpc.insecure_channel(served.grpc)
    return inference_pb2_grpc.InferenceStub(channel)  # type: ignore[no-untyped-call]  # generated without types


def test_the_printed_line_classifies_a_handwritten_digit(served: Served, tmp_path: Path) -> None:
    answer = json.loads(_curl(served, "mnist", tmp_path))
    assert answer["predictions"][0]["label"] in "0123456789"
    assert 0 < answer["predictions"][0]["score"] <= 1


def test_the_printed_line_prices_a_house_in_thousand_dollars(served: Served, tmp_path: Path) -> None:
    answer = json.loads(_curl(served, "boston_housing", tmp_path))
    assert 1 < answer["predictions"][0]["values"][0] < 80
    assert "dollar" in answer["unit"]


def test_the_printed_line_streams_text(served: Served, tmp_path: Path) -> None:
    events = [line.removeprefix("data: ") for line in _curl(served, "nietzsche", tmp_path).splitlines() if line]
    assert events[-1] == "[DONE]"
    text = "".join(json.loads(event).get("text", "") for event in events[:-1])
    assert len(text) == 200
    assert len(events) > 3


def test_the_printed_line_draws_a_digit(served: Served, tmp_path: Path) -> None:
    _curl(served, "digits_vae", tmp_path)
    assert (tmp_path / "digits_vae.png").read_bytes().startswith(PNG)


def test_grpc_gives_the_same_answers_as_rest(served: Served) -> None:
    example = served.card("mnist").signatures["classify"].example
    rest = httpx.post(f"{served.http}/api/models/mnist/classify", json={"instance": example}).json()
    instance = inference_pb2.Instance()
    instance.inputs["image_bytes"].data = base64.b64decode(example["image_bytes"]["b64"])
    reply = _stub(served).Classify(
        inference_pb2.ClassifyRequest(model=inference_pb2.Model(name="mnist"), instances=[instance])
    )
    assert reply.predictions[0].label == rest["predictions"][0]["label"]
    # REST writes the shortest decimal that is the same float32.
    assert np.float32(reply.predictions[0].score) == np.float32(rest["predictions"][0]["score"])


def test_grpc_streams_the_text_rest_writes_for_the_same_seed(served: Served) -> None:
    body = {"prompt": "the soul", "length": 120, "seed": 7, "temperature": 0.5}
    whole = httpx.post(f"{served.http}/api/models/nietzsche/generate-text", json=body).json()["text"]
    request = inference_pb2.GenerateTextRequest(
        model=inference_pb2.Model(name="nietzsche"), prompt="the soul", length=120
    )
    request.knobs["seed"].number = 7
    request.knobs["temperature"].number = 0.5
    chunks = list(_stub(served).GenerateText(request))
    assert "".join(chunk.text for chunk in chunks) == whole
    assert chunks[-1].finish_reason == "length"


async def test_a_text_is_the_same_alone_and_among_others_at_any_temperature(served: Served) -> None:
    asked = [
        {"prompt": "the " * (1 + n % 3), "length": 40 + 13 * n, "seed": n, "temperature": (0, 0.2, 0.5, 1, 1.2)[n % 5]}
        for n in range(32)
    ]

    async def text(client: httpx.AsyncClient, body: dict[str, Any], after: float) -> str:
        await asyncio.sleep(after)
        answer = await client.post("/api/models/nietzsche/generate-text", json=body)
        return str(answer.raise_for_status().json()["text"])

    async with httpx.AsyncClient(base_url=served.http, timeout=60) as client:
        alone = [await text(client, body, 0) for body in asked]
        together = await asyncio.gather(*(text(client, body, 0.003 * n) for n, body in enumerate(asked)))
    assert together == alone
    assert len(set(alone)) > 20


def test_the_command_predicts_what_the_gateway_serves(served: Served, tmp_path: Path) -> None:
    picture = tmp_path / "digit.png"
    environment = {**served.home.environment, "TENSORGATE_GATEWAY": served.http}
    for words in (["digits_vae", "seed=7", "--out", str(picture)], ["mnist", str(picture)], ["boston_housing"]):
        run = subprocess.run([*COMMAND, "predict", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
    assert picture.read_bytes().startswith(PNG)


def _hammer(call: Callable[[], httpx.Response], stop_now: threading.Event, bad: list[Any], seen: set[int]) -> None:
    while not stop_now.is_set():
        response = call()
        if response.status_code != 200:
            bad.append((response.status_code, response.text))
        else:
            seen.add(response.json()["version"])


def test_a_new_version_takes_over_under_load_without_one_failed_request(served: Served) -> None:
    example = served.card("mnist").signatures["classify"].example
    bad: list[Any] = []
    seen: set[int] = set()
    stop_now = threading.Event()
    with httpx.Client(base_url=served.http, timeout=30) as client:

        def call() -> httpx.Response:
            return client.post("/api/models/mnist/classify", json={"instance": example})

        old, new = call().json()["version"], served.home.publish_again("mnist")
        threads = [threading.Thread(target=_hammer, args=(call, stop_now, bad, seen)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            assert served.home.run("label", "mnist", "stable", str(new)).returncode == 0
            labelled = time.monotonic()
            until(lambda: call().json()["version"] == new, seconds=10)
            print(f"the new version answered within {time.monotonic() - labelled:.2f} s of the label's move")
        finally:
            stop_now.set()
            for thread in threads:
                thread.join()
    assert not bad
    assert seen == {old, new}


@pytest.mark.parametrize("victim", ["services.gateway", "services.mirror", "services.model_server"])
def test_a_killed_process_comes_back_and_the_models_with_it(served: Served, victim: str) -> None:
    (pid,) = _processes(served, victim)
    os.kill(pid, signal.SIGKILL)
    until(lambda: any(other != pid for other in _processes(served, victim)), seconds=30)
    until(lambda: bool(served.models().get("mnist")), seconds=90)
    example = served.card("mnist").signatures["classify"].example
    url = f"{served.http}/api/models/mnist/classify"
    until(lambda: httpx.post(url, json={"instance": example}).status_code == 200, seconds=30)


def test_a_version_with_a_flipped_byte_is_named_and_never_served(served: Served) -> None:
    store = served.home.folder / "store" / "boston_housing"
    live = served.models()["boston_housing"]
    newest = served.home.publish_again("boston_housing")
    victim = store / str(newest) / "saved_model.pb"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    for kept in served.home.folder.rglob(".cache/[!.]*"):  # the mirror has these bytes already, and need not fetch them
        kept.unlink(missing_ok=True)
    found = served.home.run("models", "verify", f"boston_housing/{newest}")
    assert found.returncode == 4
    assert "saved_model.pb" in found.stdout
    assert served.home.run("label", "boston_housing", "stable", str(newest)).returncode == 0
    time_to_act = threading.Event()
    time_to_act.wait(4)
    assert served.models()["boston_housing"] == live
    assert served.home.run("label", "boston_housing", "stable", str(live[0])).returncode == 0


def test_ctrl_c_leaves_nothing_behind_and_the_second_start_takes_seconds(trained: Home, tmp_path: Path) -> None:
    shutil.copytree(trained.folder / "store", tmp_path / "store")  # a home of its own: the other one is in use
    served = start(Home(tmp_path))
    began = time.monotonic()
    until((tmp_path / "examples" / "mnist.png").exists, seconds=60)  # written with the line that says it is live
    took = time.monotonic() - began
    children = _children(served.process.pid)
    printed = stop(served)
    assert served.process.returncode == 0
    assert "Traceback" not in printed
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert re.search(r"mnist version \d+ is live", printed)
    assert took < 60


def _processes(served: Served, module: str) -> list[int]:
    return [pid for pid in _children(served.process.pid) if module in _command_line(pid)]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:  # it has just ended
        return ""
