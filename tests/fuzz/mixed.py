"""Batches are never visible in results: mixed requests at all tensor doors at once, each answer held against its input.

Run: python -m tests.fuzz.mixed [--requests 1000000] [--processes 2] [--connections 24]
Of a hundred clients two go away while they wait, and two state less time than an answer may take. At the end it says
how many were answered, late or left, and from the gateway's own metrics how many rows shared a call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import orjson

from services.core.open_inference import Stated, datatype_of, to_bytes, to_values
from services.core.tensors import Array, from_proto, to_proto
from services.core.tfs import predict_pb2
from services.gateway.open_inference_infer import JSON_LENGTH
from services.stubs.inference import open_inference_pb2 as oip
from tests.fuzz.backend import MODELS
from tests.fuzz.running import Target, running

MOST_ROWS = 40
SHORT_SECONDS = (0.001, 0.004, 0.02)
LEFT, LATE = "left", "late"
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_INFER = "/inference.GRPCInferenceService/ModelInfer"
_ASKED = (
    ("affine", "serving_default"),
    *(("plus", signature) for signature in ("serving_default", "whole", "square", "words", "pair")),
)
_COUNTS = {("count", model) for model, _ in _ASKED}


@dataclass(frozen=True)
class Question:
    """Tensors for a signature, and what must come back."""

    model: str
    signature: str
    inputs: Mapping[str, Array]
    answer: tuple[str, Array]


@dataclass
class Client:
    """One connection of each kind. `raw` sends an HTTP request and reads its answer."""

    port: int
    channel: grpc.aio.Channel
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    seconds: float | None = None
    ended: Counter[str] = field(default_factory=Counter)

    async def post(self, path: str, body: bytes, headers: str = "") -> tuple[dict[str, str], bytes]:
        """The headers and the body of an answer. Raises Late where it says so."""
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        if self.seconds is not None:
            headers += f"X-Request-Timeout-Seconds: {self.seconds}\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        told = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        answer = await self.reader.readexactly(int(told["content-length"]))
        status = int(first.split()[1])
        if status == 504 and self.seconds is not None:
            raise LateError
        assert status == 200, (path, first, answer[:300])
        return told, answer

    def leave(self) -> None:
        """Hang up, whatever is under way."""
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None


class LateError(Exception):
    """The time that was stated is over."""


def drawn(random: random.Random, number: int) -> Question:
    """Rows of one of the models, all with the number of their request in them."""
    model, signature = random.choice(_ASKED)
    one = MODELS[model][signature]
    rows = random.choice((1, 1, 2, 3, 8, random.randint(1, MOST_ROWS)))
    inputs = {each.name: _column(each.dtype, (rows, *each.shape), number) for each in one.card.inputs}
    ((name, answer),) = one.function(inputs).items()
    return Question(model, signature, inputs, (name, answer))


def _column(dtype: str, shape: tuple[Any, ...], number: int) -> Array:
    count = int(np.prod(shape))
    if dtype == "string":
        texts = np.empty(count, object)
        texts[:] = [f"{number}:{row}".encode() for row in range(count)]
        return texts.reshape(shape)
    values = (
        (np.arange(count) % 64) / 8 + number % (1 << 18) if dtype.startswith("float") else np.arange(count) + number
    )
    return values.astype(dtype).reshape(shape)


async def by_typed(client: Client, asked: Question) -> Array:
    """/api/models/MODEL/regress."""
    columns = {name: _listed(array) for name, array in asked.inputs.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    body = {"instances": rows, "signature": asked.signature}
    _, answer = await client.post(f"/api/models/{asked.model}/regress", json.dumps(body).encode())
    return _as(asked, [row[asked.answer[0]] for row in json.loads(answer)["predictions"]])


async def by_rows(client: Client, asked: Question) -> Array:
    """:predict with `instances`."""
    columns = {name: _listed(array) for name, array in asked.inputs.items()}
    rows: list[Any] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if len(columns) == 1:
        (rows,) = columns.values()
    body = {"instances": rows, "signature_name": asked.signature}
    _, answer = await client.post(f"/v1/models/{asked.model}:predict", json.dumps(body).encode())
    return _as(asked, json.loads(answer)["predictions"])


async def by_columns(client: Client, asked: Question) -> Array:
    """:predict with `inputs`."""
    body = {"inputs": {name: _listed(array) for name, array in asked.inputs.items()}, "signature_name": asked.signature}
    _, answer = await client.post(f"/v1/models/{asked.model}:predict", json.dumps(body).encode())
    return _as(asked, json.loads(answer)["outputs"])


async def by_json(client: Client, asked: Question) -> Array:
    """Infer, values in JSON."""
    tensors = [{**_stated(name, x), "data": to_values(x)} for name, x in asked.inputs.items()]
    body = {"inputs": tensors, "parameters": {"signature": asked.signature}}
    sent = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    _, answer = await client.post(f"/v2/models/{asked.model}/infer", sent)
    (one,) = json.loads(answer)["outputs"]
    return Stated(one["name"], one["datatype"], one["shape"]).of_values(one["data"])


async def by_bytes(client: Client, asked: Question) -> Array:
    """Infer, values behind the JSON."""
    tails = [to_bytes(x) for x in asked.inputs.values()]
    tensors = [
        {**_stated(name, x), "parameters": {"binary_data_size": len(tail)}}
        for (name, x), tail in zip(asked.inputs.items(), tails, strict=True)
    ]
    parameters = {"signature": asked.signature, "binary_data_output": True}
    text = orjson.dumps({"inputs": tensors, "parameters": parameters})
    headers = f"{JSON_LENGTH}: {len(text)}\r\n"
    told, answer = await client.post(f"/v2/models/{asked.model}/infer", b"".join([text, *tails]), headers)
    length = int(told[JSON_LENGTH.lower()])
    (one,) = json.loads(answer[:length])["outputs"]
    return Stated(one["name"], one["datatype"], one["shape"]).of_bytes(answer[length:])


async def by_grpc_predict(client: Client, asked: Question) -> Array:
    """TensorFlow Serving's Predict."""
    request = predict_pb2.PredictRequest(inputs={name: to_proto(x) for name, x in asked.inputs.items()})
    request.model_spec.name, request.model_spec.signature_name = asked.model, asked.signature
    reply = await _call(client, _PREDICT, request, predict_pb2.PredictResponse)
    return from_proto(reply.outputs[asked.answer[0]])


async def by_grpc_infer(client: Client, asked: Question) -> Array:
    """Open Inference's ModelInfer."""
    parameters = {"signature": oip.InferParameter(string_param=asked.signature)}
    request = oip.ModelInferRequest(model_name=asked.model, parameters=parameters)
    for name, x in asked.inputs.items():
        request.inputs.add(name=name, datatype=datatype_of(x.dtype), shape=x.shape)
        request.raw_input_contents.append(to_bytes(x))
    reply = await _call(client, _INFER, request, oip.ModelInferResponse)
    (one,) = reply.outputs
    return Stated(one.name, one.datatype, one.shape).of_bytes(reply.raw_output_contents[0])


DOORS: tuple[Callable[[Client, Question], Awaitable[Array]], ...] = (
    by_typed,
    by_rows,
    by_columns,
    by_json,
    by_bytes,
    by_grpc_predict,
    by_grpc_infer,
)


async def _call(client: Client, path: str, request: Any, reply: Any) -> Any:
    call: Any = client.channel.unary_unary(path, response_deserializer=reply.FromString)
    try:
        return await call(request.SerializeToString(), timeout=client.seconds or 30)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and client.seconds is not None:
            raise LateError from None
        raise


def _stated(name: str, x: Array) -> dict[str, Any]:
    return {"name": name, "shape": x.shape, "datatype": datatype_of(x.dtype)}


def _listed(x: Array) -> Any:
    return [text.decode() for text in x] if x.dtype.kind == "O" else x.tolist()


def _as(asked: Question, values: Any) -> Array:
    expected = asked.answer[1]
    if expected.dtype.kind == "O":
        return np.array([text.encode() for text in values], object)
    return np.array(values, expected.dtype)


async def ask(client: Client, random: random.Random, number: int) -> None:
    """One request; what comes back is the answer to it."""
    asked = drawn(random, number)
    door = random.choice(DOORS[1:] if asked.signature == "words" else DOORS)  # typed answers are numbers
    fate = random.random()
    client.seconds = random.choice(SHORT_SECONDS) if fate < 0.02 else None
    patience = random.choice(SHORT_SECONDS) if 0.02 <= fate < 0.04 else None
    try:
        answer = await asyncio.wait_for(door(client, asked), patience)
        name, expected = asked.answer
        assert answer.dtype == expected.dtype and np.array_equal(answer, expected), (door, asked, name, answer)
        client.ended[door.__name__] += 1
    except TimeoutError:
        client.leave()
        client.ended[LEFT] += 1
    except LateError:
        client.ended[LATE] += 1


async def drive(ports: tuple[int, int], numbers: range, connections: int) -> Counter[str]:
    """All of the numbers, as many at once as there are connections."""
    ended: Counter[str] = Counter()
    left = iter(numbers)

    async def one(seed: int) -> None:
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{ports[1]}", options=(("grpc.use_local_subchannel_pool", 1),)
        ) as channel:
            client, chance = Client(ports[0], channel), random.Random(numbers.start + seed)
            for number in left:
                await ask(client, chance, number)
            client.leave()
            ended.update(client.ended)

    await asyncio.gather(*(one(seed) for seed in range(connections)))
    return ended


def _drive(ports: tuple[int, int], numbers: range, connections: int) -> Counter[str]:
    return asyncio.run(drive(ports, numbers, connections))


def _measured(target: Target) -> Mapping[tuple[str, str], float]:
    page = httpx.get(f"http://127.0.0.1:{target.http_port}/metrics").text
    found = re.findall(r'gateway_batch_rows_(sum|count)\{model="(\w+)"\} ([\d.e+]+)', page)
    return {(kind, model): float(value) for kind, model, value in found}


def calls(target: Target) -> float:
    """How often the model server was asked for one of these models."""
    return sum(value for (kind, model), value in _measured(target).items() if (kind, model) in _COUNTS)


def rows_a_call(target: Target) -> Mapping[str, float]:
    """How many rows the calls of each model had on average."""
    told = _measured(target)
    return {model: told["sum", model] / told["count", model] for kind, model in told if kind == "sum"}


def main() -> None:
    """Print what became of them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=1_000_000)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--connections", type=int, default=24, help="of each process")
    chosen = options.parse_args()
    share = chosen.requests // chosen.processes
    with running() as target, ProcessPoolExecutor(chosen.processes, get_context("spawn")) as pool:
        began, memory = time.monotonic(), target.resident
        ports = target.http_port, target.grpc_port
        drives = [
            pool.submit(_drive, ports, range(share * at, share * (at + 1)), chosen.connections)
            for at in range(chosen.processes)
        ]
        ended = sum((each.result() for each in drives), Counter[str]())
        seconds = time.monotonic() - began
        told = ", ".join(f"{model} {rows:.1f}" for model, rows in rows_a_call(target).items())
        print(f"{ended.total()} requests in {seconds:.0f} s, each answer its own: {dict(ended)}")
        print(f"rows a call: {told}; memory {memory // 1024} MB before, {target.resident // 1024} MB after")


if __name__ == "__main__":
    main()
