"""The images as they are built: what is in them, and that they run with a root nobody can write to."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from services.cli.keys import key
from services.store import open_store
from tests.deploy.images import Given, Image, build, running, unpacked, why_not
from tests.polling import until
from tests.ports import free_port
from tests.s3_server import BUCKET

TARGETS = ("gateway", "mirror", "model-server", "trainer")
SERVING = ("gateway", "mirror")
MEGABYTES = 10**6
NOBODY = 65532

pytestmark = [
    pytest.mark.skipif("TENSORGATE_IMAGES" not in os.environ, reason="minutes: make deploy-check does it"),
    pytest.mark.timeout(0),
]


@pytest.fixture(scope="session")
def images() -> Iterator[Mapping[str, Image]]:
    """All four, built and unpacked."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as stack:
        for target in TARGETS:
            build(target)
        yield {target: stack.enter_context(unpacked(target)) for target in TARGETS}


def _has(image: Image, pattern: str) -> list[Path]:
    return [path for folder in ("usr", "bin", "opt") for path in (image.root / folder).rglob(pattern)]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is_and_is_nobodys(images: Mapping[str, Image], target: str) -> None:
    config = images[target].config
    assert config["User"] == f"{NOBODY}:{NOBODY}"
    prefix = "org.opencontainers.image."
    labels = {name.removeprefix(prefix): text for name, text in config["Labels"].items() if name.startswith(prefix)}
    assert labels.keys() == {"title", "description", "licenses", "version", "revision"}
    assert (labels["version"], labels["revision"]) == ("0.1.0", "abc")
    assert config["Healthcheck"]["Test"][0] == ("NONE" if target == "trainer" else "CMD")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_no_compiler_no_cache_and_a_list_of_its_parts(images: Mapping[str, Image], target: str) -> None:
    image = images[target]
    assert not [path for name in ("gcc", "cc", "ld", "strip") for path in _has(image, f"bin/{name}")]
    assert not [path for path in (image.root / "root").rglob("*") if ".cache" in path.parts]
    packages = image.root / "opt/tensorgate"
    parts = json.loads((packages / "sbom.json").read_text())
    names = {part["name"].lower().replace("_", "-") for part in parts["components"]}
    assert parts["bomFormat"] == "CycloneDX"
    assert {"tensorgate", "grpcio", "numpy"} <= names
    assert ("tensorflow-cpu" in names) is (target not in SERVING)


@pytest.mark.parametrize("target", SERVING)
def test_who_serves_has_no_shell_no_pip_and_of_tensorflow_its_messages(
    images: Mapping[str, Image], target: str
) -> None:
    image = images[target]
    assert image.bytes <= 200 * MEGABYTES
    assert not [path for name in ("sh", "bash", "dash", "pip", "pip3") for path in _has(image, f"bin/{name}")]
    tensorflow = image.root / "opt/tensorgate/tensorflow"
    assert all(path.name.endswith(("_pb2.py", ".pyc")) for path in tensorflow.rglob("*") if path.is_file())


@pytest.fixture
def s3(s3_environment: Mapping[str, str]) -> Mapping[str, str]:
    """The variables of a store on S3, for every room."""
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    rooms = ("TENSORGATE_STORE", "TENSORGATE_MIRROR_STORE", "TENSORGATE_GATEWAY_STORE")
    return {**s3_environment, **dict.fromkeys(rooms, url)}


def _owned(folder: Path) -> Path:
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    return folder


def _is(url: str, status: int) -> bool:
    try:
        return httpx.get(url).status_code == status
    except httpx.TransportError:
        return False


def test_a_model_is_trained_brought_served_and_asked_by_the_images(
    images: Mapping[str, Image], s3: Mapping[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets = os.environ.get("TENSORGATE_DATASETS")
    if datasets is None:
        pytest.skip("TENSORGATE_DATASETS names no mirror of the data")
    train = Given(
        {**s3, "TENSORGATE_DATASETS": "/datasets"},
        ["train", "boston_housing", "--set", "epochs=2", "--force"],
        {"/work": _owned(tmp_path / "work"), "/datasets": Path(datasets)},
    )
    with running(images["trainer"], train) as trainer:
        printed, _ = trainer.communicate()
        assert trainer.returncode == 0, printed
    assert open_store(s3["TENSORGATE_STORE"]).labels("boston_housing") == {"stable": 1}

    (keys := tmp_path / "etc").mkdir()
    key("tests", file=keys / "keys.jsonl")
    (keys / "keys.jsonl").chmod(0o644)
    secret = capsys.readouterr().out.strip()
    models = {"/models": _owned(tmp_path / "models")}
    server, pages = f"127.0.0.1:{free_port()}", free_port()
    flags = [f"--port={server.rpartition(':')[2]}", "--rest_api_port=-1", "--max_num_load_retries=0"]
    mirror = {**s3, "TENSORGATE_MIRROR_MODEL_SERVER": server, "TENSORGATE_MIRROR_METRICS_PORT": str(pages)}
    gateway = {
        **s3,
        "TENSORGATE_GATEWAY_MODEL_SERVER": server,
        "TENSORGATE_GATEWAY_KEYS": "/etc/tensorgate/keys.jsonl",
        "TENSORGATE_GATEWAY_HTTP_PORT": "0",
        "TENSORGATE_GATEWAY_GRPC_PORT": "0",
    }
    with (
        running(images["model-server"], Given({}, flags, models)),
        running(images["mirror"], Given(mirror, (), models)),
        running(images["gateway"], Given(gateway, (), {"/etc/tensorgate": keys})) as door,
    ):
        assert door.stdout is not None
        port = json.loads(door.stdout.readline())["http_port"]
        until(lambda: _is(f"http://127.0.0.1:{pages}/readyz", 200), seconds=60)
        until(lambda: _is(f"http://127.0.0.1:{port}/readyz", 200), seconds=30)
        for image, there in ((images["gateway"], port), (images["mirror"], pages)):
            health = [word.replace("8080", str(there)).replace("9100", str(there)) for word in _health(image)]
            with running(image, Given(), health) as check:
                assert check.wait(30) == 0
        model = f"http://127.0.0.1:{port}/api/models/boston_housing"
        assert httpx.get(model).status_code == 401
        bearer = {"Authorization": f"Bearer {secret}"}
        example = httpx.get(model, headers=bearer).json()["card"]["signatures"]["regress"]["example"]
        answer = httpx.post(f"{model}/regress", json={"instance": example}, headers=bearer)
        assert answer.status_code == 200, answer.text
        door.send_signal(signal.SIGTERM)
        assert door.wait(30) == 0


def test_a_root_that_cannot_be_written_to_is_one(images: Mapping[str, Image]) -> None:
    code = "import os; print([os.access(place, os.W_OK) for place in ('/tmp', '/work', '/opt/tensorgate')])"
    with running(images["trainer"], Given(), ["python", "-c", code]) as process:
        assert process.communicate()[0] == "[True, False, False]\n"


def _health(image: Image) -> list[str]:
    return list(image.config["Healthcheck"]["Test"][1:])
