"""A rate a key: in the long run no more than it says, told in each door's form, and remembered while the key stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from services.cli.app import app
from services.core.errors import InvalidArgument
from services.core.keys import KeyLine, hash_of, read_keys
from services.gateway.keyring import Keyring
from services.gateway.rate import Bucket, Rate, RateLimited, take
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.world import World, bearer, world

NEVER = 1e-4  # a second: a test sees no token come


def line(key: str, rate: float | None = None, burst: int | None = None) -> str:
    """Of a file of keys."""
    one = KeyLine(name=key, sha256=hash_of(key.encode()), rate=rate, burst=burst)
    return one.model_dump_json(exclude_none=True) + "\n"


rates = st.builds(Rate, st.floats(0.01, 1000), st.integers(1, 50).map(float))
pauses = st.lists(st.one_of(st.just(0.0), st.floats(0, 30)), min_size=1, max_size=80)


@given(rates, pauses)
def test_in_no_time_span_is_more_granted_than_the_burst_and_the_rate_allow(rate: Rate, pauses: list[float]) -> None:
    bucket, now, granted = Bucket(rate.burst, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        bucket, wait = take(bucket, rate, now)
        if not wait:
            granted.append(now)
    for first, began in enumerate(granted):
        for count, ended in enumerate(granted[first:], 1):
            assert count <= rate.burst + (ended - began) * rate.per_second + 1e-6


@given(rates, pauses)
def test_who_waits_as_long_as_told_is_granted_and_nobody_waits_for_nothing(rate: Rate, pauses: list[float]) -> None:
    bucket, now = Bucket(rate.burst, 0.0), 0.0
    for pause in pauses:
        now += pause
        after, wait = take(bucket, rate, now)
        if wait:
            assert after == bucket
            assert take(bucket, rate, now + wait * (1 + 1e-9) + 1e-9)[1] == 0
            assert take(bucket, rate, now + wait * 0.99 - 1e-9)[1] > 0
        bucket = after


def test_a_burst_is_granted_whole_and_again_after_a_pause() -> None:
    rate, bucket = Rate(10, 3), Bucket(3, 0.0)
    for now in (0.0, 5.0):
        for _ in range(3):
            bucket, wait = take(bucket, rate, now)
            assert wait == 0
        assert take(bucket, rate, now)[1] == pytest.approx(0.1)


class Clock:
    """A second passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def granted(keyring: Keyring, key: str, times: int) -> int:
    """How many of so many requests at once."""
    count = 0
    for _ in range(times):
        try:
            keyring.admit([f"Bearer {key}".encode()])
            count += 1
        except RateLimited:
            pass
    return count


def test_a_read_file_leaves_the_buckets_of_keys_whose_rate_is_the_same(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    file.write_text(line("same", NEVER, 2) + line("other", NEVER, 2) + line("gone", NEVER, 2))
    keyring = Keyring(file, clock)
    assert [granted(keyring, key, 5) for key in ("same", "other", "gone")] == [2, 2, 2]
    file.write_text(line("new", NEVER, 4) + line("same", NEVER, 2) + line("other", NEVER, 3))
    clock.now = 1
    assert [granted(keyring, key, 5) for key in ("same", "other", "new")] == [0, 3, 4]


def test_the_rate_is_that_of_a_second_and_so_is_the_burst_if_none_is_named(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    file.write_text(line("many", 100) + line("few", 0.5) + line("any"))
    keyring = Keyring(file, clock)
    assert [granted(keyring, key, 300) for key in ("many", "few", "any")] == [100, 1, 300]
    clock.now = 2
    assert [granted(keyring, key, 300) for key in ("many", "few", "any")] == [100, 1, 300]


def test_each_of_several_processes_grants_its_share(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    file.write_text(line("many", 100, 200) + line("few", 1))
    keyring = Keyring(file, clock, workers=4)
    assert [granted(keyring, key, 300) for key in ("many", "few")] == [50, 1]
    clock.now = 1
    assert [granted(keyring, key, 300) for key in ("many", "few")] == [25, 0]
    clock.now = 5
    assert granted(keyring, "few", 5) == 1


@pytest.mark.parametrize(
    "text",
    [
        line("a", 5).replace("5.0", "0"),
        line("a", 5).replace("5.0", "-1"),
        line("a", 5).replace("5.0", "Infinity"),
        line("a", 5).replace("5.0", "null"),
        line("a", burst=1),
        line("a", 5, 1).replace('"burst":1', '"burst":0'),
    ],
)
def test_a_rate_that_is_none_stops_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(text)
    with pytest.raises(InvalidArgument, match="line 1"):
        read_keys(file)


def test_the_command_writes_a_rate_that_the_gateway_reads(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    made = CliRunner().invoke(app, ["key", "alice", "--rate", "2.5", "--burst", "7", "--file", str(file)])
    (kept,) = read_keys(file).values()
    assert (kept.rate, kept.burst) == (2.5, 7) and kept.sha256 == hash_of(made.stdout.strip().encode())
    for wrong in (["--rate", "0"], ["--rate", "nan"], ["--rate", "inf"], ["--burst", "2"]):
        result = CliRunner().invoke(app, ["key", "alice", *wrong])
        assert isinstance(result.exception, InvalidArgument), wrong
    assert CliRunner().invoke(app, ["key", "alice", "--rate", "1", "--burst", "0"]).exit_code == 2


Ask = Callable[[World, str], Awaitable[httpx.Response]]


def post(path: str, body: Any) -> Ask:
    """A request over REST with a key."""
    return lambda here, key: here.rest.post(path, json=body, headers=bearer(key))


REST: dict[str, tuple[Ask, Callable[[Any], str]]] = {
    "typed": (
        post("/api/models/houses/regress", {"instance": {"rooms": 2}}),
        lambda body: str(body["error"]["code"] + ": " + body["error"]["message"]),
    ),
    "tfs": (post("/v1/models/affine:predict", {"instances": [1]}), lambda body: str(body["error"])),
    "open-inference": (post("/v2/models/writer/generate", {"text_input": "a"}), lambda body: str(body["error"])),
    "openai": (post("/v1/completions", {"model": "writer", "prompt": "a"}), lambda body: str(body["error"]["message"])),
    "list": (lambda here, key: here.rest.get("/api/models", headers=bearer(key)), lambda body: str(body["error"])),
}
STREAM, GRPC, OPENAI_CLIENT = "stream", "grpc", "openai-client"


@pytest.fixture(scope="module")
async def limited(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway whose keys are called after doors, and each good for two requests."""
    file = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    file.write_text(line("free") + "".join(line(key, NEVER, 2) for key in (*REST, STREAM, GRPC, OPENAI_CLIENT)))
    async with world(key="free", keys=file) as made:
        yield made


@pytest.mark.anyio
@pytest.mark.parametrize("door", REST)
async def test_a_request_too_many_is_refused_in_the_form_of_its_door(limited: World, door: str) -> None:
    ask, told = REST[door]
    assert [(await ask(limited, door)).status_code for _ in range(2)] == [200, 200]
    answer = await ask(limited, door)
    assert answer.status_code == 429
    assert 9000 < int(answer.headers["retry-after"]) <= 10_000
    assert f"The key of '{door}' may ask 0.0001 times a second, 2 times at once. Received: one" in told(answer.json())
    page = (await limited.rest.get("/metrics")).text
    assert 'operation="refused",code="RESOURCE_EXHAUSTED"' in page or 'code="RESOURCE_EXHAUSTED"' in page


@pytest.mark.anyio
async def test_a_stream_is_one_request(limited: World) -> None:
    body = {"prompt": "a", "length": 30}
    headers = {**bearer(STREAM), "Accept": "text/event-stream"}
    answers = [
        await limited.rest.post("/api/models/writer/generate-text", json=body, headers=headers) for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].text.count("data:") > 2


@pytest.mark.anyio
async def test_grpc_refuses_too_and_names_the_request(limited: World) -> None:
    metadata = (("authorization", f"Bearer {GRPC}"), ("x-request-id", "mine"))
    for _ in range(2):
        await limited.inference.ListModels(pb.ListModelsRequest(), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await limited.inference.ListModels(pb.ListModelsRequest(), metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "may ask 0.0001 times a second" in str(caught.value.details())
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "mine"


@pytest.mark.anyio
async def test_openais_client_knows_it_for_a_rate(limited: World) -> None:
    base = f"{limited.rest.base_url}/v1"
    async with openai.AsyncOpenAI(base_url=base, api_key=OPENAI_CLIENT, max_retries=0) as client:
        for _ in range(2):
            await client.models.list()
        with pytest.raises(openai.RateLimitError) as caught:
            await client.models.list()
    assert (caught.value.type, caught.value.code) == ("requests", "rate_limit_exceeded")


@pytest.mark.anyio
async def test_probes_and_strangers_take_no_ones_tokens(limited: World) -> None:
    for _ in range(5):
        assert (await limited.rest.get("/readyz", headers=bearer("typed"))).status_code == 200
        assert (await limited.rest.get("/api/models", headers=bearer("nobody"))).status_code == 401
        assert (await limited.rest.get("/api/models")).status_code == 200
