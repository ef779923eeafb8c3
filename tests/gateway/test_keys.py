"""Keys: without one nobody is told anything, with one only of its models, through every door."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import openai
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from typer.testing import CliRunner

from services.cli.app import app
from services.core.errors import FailedPrecondition, InvalidArgument, Unauthenticated
from services.core.keys import KeyLine, hash_of
from services.core.tensors import to_proto
from services.core.tfs import get_model_metadata_pb2, get_model_status_pb2, inference_pb2, predict_pb2
from services.core.tfs_methods import METHODS
from services.core.tfs_stubs import model_service_pb2_grpc, prediction_service_pb2_grpc
from services.gateway.keyring import Keyring
from services.gateway.settings import GatewaySettings
from services.stubs.inference import open_inference_pb2
from services.stubs.tensorgate.v1 import inference_pb2 as pb
from tests.gateway.test_process import environment, gateway, store
from tests.gateway.world import World, bearer, eventually, world

pytestmark = pytest.mark.anyio
__all__ = ["store"]  # a fixture

WHOLE, SCOPED, WRONG = "tg-whole", "tg-scoped", "tg-wrong"
MINE = ("writer", "affine", "ghost")  # there is no ghost
FREE = {"/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}


def line(key: str, *models: str) -> str:
    """Of a file of keys."""
    one = KeyLine(name=f"owner of {key[3:]}", sha256=hash_of(key.encode()), models=models or None)
    return one.model_dump_json(exclude_none=True) + "\n"


@pytest.fixture(scope="module")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway with two keys; its `rest` has the one for all models."""
    file = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    file.write_text(line(WHOLE) + line(SCOPED, *MINE))
    async with world(key=WHOLE, keys=file) as made:
        yield made


@pytest.fixture
async def stranger(locked: World) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a key."""
    async with httpx.AsyncClient(base_url=locked.rest.base_url, timeout=20) as client:
        yield client


async def routes(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Every method and path of the OpenAPI page, of the model `digits`, and those that no page shows."""
    page = (await client.get("/openapi.json")).json()["paths"]
    shown = [(method.upper(), path) for path, methods in page.items() for method in methods if path not in FREE]
    assert len(shown) > 30
    hidden = [("POST", "/v1/models/{model}:classify"), ("GET", "/v1/nonsense"), ("GET", "/"), ("DELETE", "/api/models")]
    names = {"{model}": "digits", "{version}": "1", "{label}": "stable"}
    filled = []
    for method, path in (*shown, *hidden):
        for name, value in names.items():
            path = path.replace(name, value)
        filled.append((method, path))
    return filled


def told(path: str, answer: httpx.Response) -> str:
    """The message in the form of the path's door."""
    fault = answer.json()["error"]
    if path in ("/v1/completions", "/v1/images/generations", "/v1/models"):
        assert (fault["type"], fault["code"]) == ("invalid_request_error", "invalid_api_key")
        return str(fault["message"])
    if f"{path}/".startswith(("/v1/", "/v2/")):
        assert set(answer.json()) == {"error"}
        return str(fault)
    assert fault["code"] == "UNAUTHENTICATED" and fault["request_id"] == answer.headers["x-request-id"]
    return str(fault["message"])


@pytest.mark.parametrize(
    ("authorization", "received"),
    [
        (None, "none"),
        (f"Bearer {WRONG}", "not known"),
        (f"Basic {WHOLE}", "not known"),
        (WHOLE, "not known"),
        ("Bearer", "not known"),
        (f"Bearer {hash_of(WHOLE.encode())}", "not known"),  # who reads the file has no key
    ],
)
async def test_every_path_is_refused_without_a_key_that_is_known(
    stranger: httpx.AsyncClient, locked: World, authorization: str | None, received: str
) -> None:
    locked.server.calls.clear()
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in await routes(stranger):
        answer = await stranger.request(method, path, headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        message = told(path, answer)
        assert message.endswith(f"Received: {'one that is not known here' if received != 'none' else 'none'}"), path
        assert "digits" not in answer.text and WRONG not in answer.text
    assert locked.server.calls == []


async def test_a_model_that_is_not_there_is_refused_in_the_same_words(stranger: httpx.AsyncClient) -> None:
    for method, path in await routes(stranger):
        there, not_there = [
            await stranger.request(method, asked, headers={"x-request-id": "same"})
            for asked in (path, path.replace("digits", "nobody"))
        ]
        assert there.content == not_there.content


async def test_no_path_is_refused_with_a_key(locked: World) -> None:
    for method, path in await routes(locked.rest):
        assert (await locked.rest.request(method, path)).status_code != 401, (method, path)


async def test_probes_metrics_and_the_page_are_free(stranger: httpx.AsyncClient) -> None:
    for path in (*FREE, "/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"):
        assert (await stranger.get(path)).status_code == 200, path
    page = (await stranger.get("/openapi.json")).json()
    assert page["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
    assert (await stranger.get("/api/models")).status_code == 401
    assert 'code="UNAUTHENTICATED"' in (await stranger.get("/metrics")).text


async def test_two_keys_are_none(locked: World) -> None:
    for second in (WHOLE, WRONG):
        headers = [("Authorization", f"Bearer {WHOLE}"), ("Authorization", f"Bearer {second}")]
        async with httpx.AsyncClient(base_url=locked.rest.base_url) as client:
            answer = await client.get("/api/models", headers=headers)
        assert answer.status_code == 401 and "Received: 2 such headers" in answer.text
        with pytest.raises(grpc.aio.AioRpcError, match="Received: 2 such headers") as caught:
            await locked.inference.ListModels(
                pb.ListModelsRequest(), metadata=(*_metadata(WHOLE), *_metadata(second), ("x-request-id", "mine"))
            )
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert dict(caught.value.trailing_metadata())["x-request-id"] == "mine"


@pytest.mark.parametrize(
    "path", ["/api/models/houses/regress", "/v1/models/affine:predict", "/v2/models/writer/generate"]
)
async def test_a_request_without_a_key_is_refused_before_its_body_comes(locked: World, path: str) -> None:
    url = locked.rest.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    assert head.startswith(b"HTTP/1.1 401")


def methods() -> list[str]:
    """Every gRPC method, and one that is none."""
    ours = pb.DESCRIPTOR.services_by_name["Inference"]
    theirs = open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    mine = [f"/{one.full_name}/{method.name}" for one in (ours, theirs) for method in one.methods]
    mine = [method for method in mine if not method.endswith(("/ServerLive", "/ServerReady"))]  # probes
    return [*mine, *METHODS, f"/{reflection.SERVICE_NAME}/ServerReflectionInfo", "/nobody/Nothing"]


@pytest.mark.parametrize("method", methods())
@pytest.mark.parametrize("key", ["", WRONG])
async def test_every_grpc_method_is_refused_without_a_key_that_is_known(locked: World, method: str, key: str) -> None:
    call: Any = locked.channel.stream_stream(method)(metadata=_metadata(key))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()  # nothing has been sent
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "Authorization: Bearer KEY" in str(caught.value.details())


async def test_grpc_stubs_are_refused_and_answered(locked: World) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await locked.inference.ListModels(pb.ListModelsRequest())
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    reply = await locked.inference.ListModels(pb.ListModelsRequest(), metadata=_metadata(WHOLE))
    assert len(reply.models) > len(MINE)
    prompt = pb.GenerateTextRequest(model=pb.Model(name="writer"), prompt="a", length=5)
    with pytest.raises(grpc.aio.AioRpcError, match="UNAUTHENTICATED"):
        [chunk async for chunk in locked.inference.GenerateText(prompt)]
    chunks = [chunk async for chunk in locked.inference.GenerateText(prompt, metadata=_metadata(SCOPED))]
    assert len("".join(chunk.text for chunk in chunks)) == 5


async def test_health_is_free_and_tells_of_no_model(locked: World) -> None:
    health: Any = health_pb2_grpc.HealthStub(locked.channel)
    reply = await health.Check(health_pb2.HealthCheckRequest(service=""))
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    for name in ("writer", "nobody"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_strangers_are_not_counted_as_a_models_requests(stranger: httpx.AsyncClient) -> None:
    for path in ("/api/models/digits/regress", "/v2/models/digits/infer", "/v1/models/digits:predict"):
        assert (await stranger.post(path)).status_code == 401
    counted = (await stranger.get("/metrics")).text
    refused = [row for row in counted.splitlines() if 'code="UNAUTHENTICATED"' in row]
    assert refused and all('operation="refused"' in row and 'model="digits"' not in row for row in refused)


async def test_health_is_told_and_not_watched_without_a_key(locked: World) -> None:
    health: Any = health_pb2_grpc.HealthStub(locked.channel)
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Watch(health_pb2.HealthCheckRequest()).read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_openais_client_is_refused_and_answered(locked: World) -> None:
    def client(key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{locked.rest.base_url}/v1", api_key=key, max_retries=0)

    async with client(WRONG) as wrong, client(SCOPED) as right:
        with pytest.raises(openai.AuthenticationError) as caught:
            await wrong.completions.create(model="writer", prompt="a")
        assert caught.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            await wrong.models.list()
        assert (await right.completions.create(model="writer", prompt="a")).choices[0].text
        streamed = await right.completions.create(model="writer", prompt="a", stream=True, n=2, max_tokens=40)
        assert [chunk async for chunk in streamed]
        assert [model.id async for model in right.models.list()] == ["writer"]
        for model in ("digits", "nobody"):  # not its own, whether there or not
            with pytest.raises(openai.PermissionDeniedError):
                await right.completions.create(model=model, prompt="a")
        with pytest.raises(openai.PermissionDeniedError):
            await right.images.generate(model="painter", prompt="seed=1", n=2)
        with pytest.raises(openai.NotFoundError) as missing:
            await right.completions.create(model="ghost", prompt="a")
    assert "writer" in str(missing.value) and "digits" not in str(missing.value)


BODIES = {
    "classify": {"instance": {"image_bytes": {"b64": ""}}},
    "regress": {"instance": {"rooms": 2}},
    "generate-text": {"prompt": "a"},
    "generate-image": {"instance": {"seed": 1}},
    "explain": {"instance": {}},
    "infer": {"inputs": []},
    "generate": {"text_input": "a"},
    "generate_stream": {"text_input": "a"},
}


async def test_another_keys_model_is_refused_at_every_path_that_names_one(locked: World) -> None:
    for method, path in await routes(locked.rest):
        if "digits" not in path:
            continue
        examples = {"examples": [{"x": 1.0}]}
        bodies: dict[str, Any] = {"digits:predict": {"instances": [1]}}
        bodies |= dict.fromkeys(("digits:classify", "digits:regress"), examples)
        words = path.replace("digits/versions/1", "digits").replace("digits/labels/stable", "digits")
        last = words.rpartition("/")[2].replace("stable:", "digits:").replace("1:", "digits:")
        body = {**BODIES, **bodies}.get(last)
        answers = [
            await locked.rest.request(method, asked, json=body, headers={**bearer(SCOPED), "x-request-id": "same"})
            for asked in (path, path.replace("digits", "nobody"))
        ]
        assert [answer.status_code for answer in answers] == [403, 403], (method, path, answers[0].text)
        assert answers[0].text.replace("digits", "nobody") == answers[1].text


async def test_lists_show_what_a_key_may_ask(locked: World) -> None:
    mine = (await locked.rest.get("/api/models", headers=bearer(SCOPED))).json()["models"]
    assert [model["name"] for model in mine] == ["affine", "writer"]
    names = (await locked.rest.get("/v2/models", headers=bearer(SCOPED))).json()["models"]
    index = (await locked.rest.post("/v2/repository/index", headers=bearer(SCOPED))).json()
    assert names == [one["name"] for one in index] == ["affine", "writer"]
    reply = await locked.inference.ListModels(pb.ListModelsRequest(), metadata=_metadata(SCOPED))
    assert [model.name for model in reply.models] == ["affine", "writer"]
    assert len((await locked.rest.get("/api/models")).json()["models"]) > 2


async def test_tensorflow_servings_stubs_are_held_to_the_keys_models(locked: World) -> None:
    prediction: Any = prediction_service_pb2_grpc.PredictionServiceStub(locked.channel)
    status: Any = model_service_pb2_grpc.ModelServiceStub(locked.channel)
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = "affine"
    asked.inputs["x"].CopyFrom(to_proto(np.array([1], np.float32)))
    assert (await prediction.Predict(asked, metadata=_metadata(SCOPED))).model_spec.version.value == 1
    of_status = get_model_status_pb2.GetModelStatusRequest()
    of_status.model_spec.name = "affine"
    assert (await status.GetModelStatus(of_status, metadata=_metadata(SCOPED))).model_version_status

    asked.model_spec.name = of_status.model_spec.name = "houses"
    empty = predict_pb2.PredictRequest()
    empty.model_spec.name = "houses"
    of_metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["other"])
    of_metadata.model_spec.name = "houses"
    several = inference_pb2.MultiInferenceRequest()
    for name in ("affine", "houses"):
        several.tasks.add().model_spec.name = name
    for call, request in (
        (prediction.Predict, asked),
        (prediction.Predict, empty),
        (prediction.GetModelMetadata, of_metadata),
        (prediction.MultiInference, several),
        (status.GetModelStatus, of_status),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(request, metadata=_metadata(SCOPED))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_changed_file_is_in_force_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(line(WHOLE))
    async with world({}, key=WHOLE, keys=file) as here:

        async def status(key: str) -> int:
            return (await here.rest.get("/api/models", headers=bearer(key))).status_code

        assert [await status(WHOLE), await status(SCOPED)] == [200, 401]
        made = CliRunner().invoke(app, ["key", "new", "--models", "a,b", "--file", str(file)]).stdout.strip()

        async def new_in_old_out(new: str, old: str) -> bool:
            return [await status(new), await status(old)] == [200, 401]

        await eventually(lambda: new_in_old_out(made, WRONG), seconds=5)
        assert await status(WHOLE) == 200
        file.write_text(line(SCOPED))
        await eventually(lambda: new_in_old_out(SCOPED, WHOLE), seconds=5)


class Clock:
    """A second passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_broken_file_leaves_the_keys_in_force_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    file.write_text(line(WHOLE))
    keyring = Keyring(file, clock)
    for broken in ("{", line(SCOPED) + '{"name": "x"}', line(SCOPED) * 2, None):
        caplog.clear()
        file.unlink() if broken is None else file.write_text(broken)
        for _ in range(3):
            clock.now += 1
            assert keyring.admit([f"Bearer {WHOLE}".encode()]).name == "owner of whole"
            with pytest.raises(Unauthenticated):
                keyring.admit([f"Bearer {SCOPED}".encode()])
        (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
        assert str(file) in record.getMessage()
    file.write_text("")  # not broken: nobody has a key
    clock.now += 1
    with pytest.raises(Unauthenticated):
        keyring.admit([f"Bearer {WHOLE}".encode()])


def test_a_key_is_taken_back_even_if_the_file_cannot_be_opened_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    file.write_text(line(WHOLE))
    keyring = Keyring(file, clock)
    file.write_text("")
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open() as free:
        number = free.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        for _ in range(3):
            clock.now += 1
            assert keyring.admit([f"Bearer {WHOLE}".encode()])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1
    clock.now += 1
    with pytest.raises(Unauthenticated):
        keyring.admit([f"Bearer {WHOLE}".encode()])


def test_the_file_is_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    file.write_text(line(WHOLE))
    keyring = Keyring(file, clock)
    file.write_text(line(SCOPED, "a"))
    clock.now = 0.9
    assert keyring.admit([f"bearer {WHOLE}".encode()]).models is None
    clock.now = 1.0
    assert keyring.admit([f"bearer {SCOPED}".encode()]).models == frozenset({"a"})


@pytest.mark.parametrize(
    "text",
    [
        line(WHOLE).replace("sha256", "key"),
        line(WHOLE).replace(hash_of(WHOLE.encode()), WHOLE),
        '{"tg-key": "alice"}',
        line(WHOLE).replace("}", ', "models": null}'),  # none, or all?
        "[]",
        "tg-key",
    ],
)
def test_a_broken_file_stops_the_start_and_no_key_is_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(text)
    with pytest.raises(InvalidArgument, match="line 1") as caught:
        Keyring(file, Clock())
    assert "tg-" not in str(caught.value)
    with pytest.raises(InvalidArgument, match="TENSORGATE_GATEWAY_KEYS is a file"):
        Keyring(tmp_path / "none", Clock())


def test_a_new_key_is_printed_once_and_kept_as_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(line(WHOLE).rstrip())  # as an editor leaves it
    key = CliRunner().invoke(app, ["key", "alice", "--models", "a, b", "--file", str(file)]).stdout.strip()
    first, second = file.read_text().splitlines()
    assert json.loads(second) == {"name": "alice", "sha256": hash_of(key.encode()), "models": ["a", "b"]}
    assert first == line(WHOLE).strip() and key not in second
    key, shown = CliRunner().invoke(app, ["key", "alice"]).stdout.splitlines()
    assert json.loads(shown) == {"name": "alice", "sha256": hash_of(key.encode())}
    new = tmp_path / "new.jsonl"
    CliRunner().invoke(app, ["key", "alice", "--file", str(new)])
    assert new.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "10.0.0.1", "example.org"])
def test_beyond_loopback_there_are_keys_or_somebody_has_said_so(host: str, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="TENSORGATE_GATEWAY_KEYS"):
        GatewaySettings(http_host=host).check_address()
    GatewaySettings(http_host=host, allow_anyone=True).check_address()
    GatewaySettings(http_host=host, keys=tmp_path).check_address()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_anyone_may_ask(host: str) -> None:
    GatewaySettings(http_host=host).check_address()


@pytest.mark.parametrize("command", [["services.gateway"], ["services.cli", "serve", "--host", "0.0.0.0"]])
def test_beyond_loopback_a_process_without_keys_does_not_start(command: list[str], tmp_path: Path) -> None:
    settings = {**environment(http_host="0.0.0.0", http_port=0, grpc_port=0), "TENSORGATE_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", *command], env=settings, capture_output=True, text=True, timeout=30, check=False
    )
    assert run.returncode == 1
    assert "TENSORGATE_GATEWAY_KEYS" in run.stderr and "TENSORGATE_GATEWAY_ALLOW_ANYONE=true" in run.stderr
    assert "Traceback" not in run.stderr


def test_serving_with_a_broken_file_of_keys_ends_at_once(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text("{")
    settings = {**environment(keys=file), "TENSORGATE_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "services.cli", "serve", "--http-port", "0", "--grpc-port", "0"]
    run = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 1
    assert f"{file}, line 1" in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "home").exists()


async def test_ipv6_is_listened_on_by_both_doors() -> None:
    async with world({}, http_host="::1") as here:
        assert (await here.rest.get("/api/models")).status_code == 200
        assert len((await here.inference.ListModels(pb.ListModelsRequest())).models) == 0


def test_the_command_sends_its_key(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(line(WHOLE))

    def ask(address: str, key: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "services.cli", "predict", "houses", "rooms=2"]
        settings = {**environment(), "TENSORGATE_GATEWAY": address, "TENSORGATE_KEY": key}
        return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)

    with gateway(store, keys=file, http_host="0.0.0.0") as running:
        assert ask(running.http, WHOLE).returncode == 0
        refused = ask(running.http, "")
    assert refused.returncode == 1 and "Authorization: Bearer KEY" in refused.stderr


def _metadata(key: str) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in bearer(key).items())
