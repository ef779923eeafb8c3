"""Text as it is written, through gateway and model server: `python -m tests.benchmarks.streams`.

Trains nietzsche (stateful, LSTM(128)) for a moment, serves it as `tensorgate serve` does, and asks over loopback for
texts of 400 characters: one after another, whole and as events; 64 at once as events; and, to compare, one Predict a
character straight at the model server. Client and servers share this machine's processors. What has been learned does
not change what a character costs.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import uvloop

from services.core.tensors import Array, from_proto
from tests.benchmarks.page import table, write_section
from tests.e2e.conftest import COMMAND, Home
from tests.model_server.server_process import Client, predict_request, running
from tests.polling import until
from tests.ports import free_port

CHARACTERS, AT_ONCE, TURNS = 400, 64, 5
ALONE = 50  # texts one after another
PREDICTS = 400
PROMPT = "the eternal recurrence of "
PATH = "/api/models/nietzsche/generate-text"

TOLD = f"""Texts of {CHARACTERS} characters by nietzsche/stateful, an LSTM of 128 units, over REST,
with client, gateway and model server on the same machine: {ALONE} one after another, then the best of
{TURNS} turns of {AT_ONCE} at once. The first characters count from the request to the first byte of the
answer's body. Last, what they are measured against: a client that asks the model server itself, one Predict
a character.
"""


@dataclass(frozen=True)
class Written:
    """One text: seconds to its first characters and to its end."""

    first: float
    whole: float


async def write(port: int, seed: int, accept: str) -> Written:
    """Ask for one text on a connection of its own."""
    body = json.dumps({"prompt": PROMPT, "length": CHARACTERS, "seed": seed}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    text = await reader.read(1 << 16)
    first = time.perf_counter() - began
    text += await reader.read()
    whole = time.perf_counter() - began
    writer.close()
    assert b'"finish_reason":"length"' in text
    return Written(first, whole)


async def one_by_one(port: int, accept: str) -> Sequence[Written]:
    """Texts one after another; the first few warm things up."""
    return [await write(port, seed, accept) for seed in range(ALONE + 5)][5:]


async def at_once(port: int) -> tuple[float, Sequence[Written]]:
    """The best turn of several, by characters a second, and how its texts went."""
    turns = []
    for turn in range(TURNS):
        began = time.perf_counter()
        texts = await asyncio.gather(*(write(port, turn * 100 + seed, "text/event-stream") for seed in range(AT_ONCE)))
        turns.append((AT_ONCE * CHARACTERS / (time.perf_counter() - began), texts))
    return max(turns, key=lambda turn: turn[0])


def one_predict_a_character(client: Client) -> float:
    """Characters a second of a caller who sends the state back and forth for each one."""

    def call(signature: str, columns: Mapping[str, Array]) -> dict[str, Array]:
        request = predict_request("nietzsche", columns)
        request.model_spec.signature_name = signature
        outputs = client.prediction.Predict(request).outputs
        return {name: from_proto(outputs[name]) for name in outputs if name.startswith("state_")}

    steps = {"steps": np.ones(1, np.int32)}
    begin = {
        "prompt": np.array([PROMPT.encode()], object),
        "temperature": np.array([0.5], np.float32),
        "top_k": np.zeros(1, np.int32),
        "top_p": np.ones(1, np.float32),
        "logprobs": np.zeros(1, bool),
        "seed": np.array([1]),
    }
    state = call("start", {**steps, **begin})
    began = time.perf_counter()
    for _ in range(PREDICTS):
        state = call("continue", {**steps, **state})
    return PREDICTS / (time.perf_counter() - began)


def row(name: str, rate: float, texts: Sequence[Written]) -> Sequence[str]:
    """One line of the table."""
    p50, p99 = np.percentile([text.first for text in texts], [50, 99]) * 1000
    return name, f"{rate:,.0f}", f"{p50:.1f} ms", f"{p99:.1f} ms"


def main() -> None:
    """Train, serve, measure."""
    rows: list[Sequence[str]] = []
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        trained = home.run("train", "nietzsche", "--set", "epochs=1", "--set", "samples=1640", "--force")
        assert trained.returncode == 0, trained.stderr
        http, rpc = free_port(), free_port()
        command = (*COMMAND, "serve", "--http-port", str(http), "--grpc-port", str(rpc))
        serving = subprocess.Popen(command, env=home.environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            until(lambda: callable_at(http), seconds=60)
            for name, accept in (("one text, whole", "application/json"), ("one text, events", "text/event-stream")):
                texts = uvloop.run(one_by_one(http, accept))
                rows.append(row(name, CHARACTERS / float(np.median([text.whole for text in texts])), texts))
            rows.append(row(f"{AT_ONCE} texts at once, events", *uvloop.run(at_once(http))))
        finally:
            serving.terminate()
            serving.wait()
        flags = ("--port=0", "--model_name=nietzsche", f"--model_base_path={home.folder / 'store' / 'nietzsche'}")
        with running(flags, home.folder / "model_server.log") as client:
            rows.append(("one Predict a character", f"{one_predict_a_character(client):,.0f}", "", ""))
    told = table(("", "characters/s", "first, p50", "first, p99"), *rows)
    print(told)
    write_section("Text as it is written", f"{TOLD}\n{told}")


def callable_at(port: int) -> bool:
    """Whether the model can be asked."""
    try:
        models = httpx.get(f"http://127.0.0.1:{port}/api/models").json()["models"]
    except httpx.TransportError:
        return False
    return any(model["versions"] for model in models)


if __name__ == "__main__":
    main()
