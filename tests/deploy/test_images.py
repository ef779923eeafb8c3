"""The images as they are built: what is in them, and that they run with a root nobody can write to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Served:
    """Where gateway and mirror answer, and the gateway's process."""

    gateway: str
    mirror: str
    process: subprocess.Popen[str]


def _train(image: Image, s3: Mapping[str, str], work: Path, datasets: str) -> None:
    words = ["train", "boston_housing", "--set", "epochs=2", "--force"]
    folders = {"/work": _owned(work), "/datasets": Path(datasets)}
    with running(image, Given({**s3, "TENSORGATE_DATASETS": "/datasets"}, words, folders)) as trainer:
        printed, _ = trainer.communicate()
        assert trainer.returncode == 0, printed


@contextmanager
def _served(images: Mapping[str, Image], s3: Mapping[str, str], folder: Path) -> Iterator[Served]:
    """The three that serve; `folder` has the keys, and gets the models."""
    models = {"/models": _owned(folder / "models")}
    port, pages = free_port(), free_port()
    flags = [f"--port={port}", "--rest_api_port=-1", "--max_num_load_retries=0"]
    server = f"127.0.0.1:{port}"
    mirror = {"TENSORGATE_MIRROR_MODEL_SERVER": server, "TENSORGATE_MIRROR_METRICS_PORT": str(pages)}
    gateway = {
        "TENSORGATE_GATEWAY_MODEL_SERVER": server,
        "TENSORGATE_GATEWAY_KEYS": "/etc/tensorgate/keys.jsonl",
        "TENSORGATE_GATEWAY_HTTP_PORT": "0",
        "TENSORGATE_GATEWAY_GRPC_PORT": "0",
    }
    with (
        running(images["model-server"], Given({}, flags, models)),
        running(images["mirror"], Given({**s3, **mirror}, (), models)),
        running(images["gateway"], Given({**s3, **gateway}, (), {"/etc/tensorgate": folder / "etc"})) as process,
    ):
        assert process.stdout is not None
        http = json.loads(process.stdout.readline())["http_port"]
        yield Served(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{pages}", process)


def _key(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    folder.mkdir()
    key("tests", file=folder / "keys.jsonl")
    (folder / "keys.jsonl").chmod(0o644)
    return capsys.readouterr().out.strip()


def test_a_model_is_trained_brought_served_and_asked_by_the_images(
    images: Mapping[str, Image], s3: Mapping[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if (datasets := os.environ.get("TENSORGATE_DATASETS")) is None:
        pytest.skip("TENSORGATE_DATASETS names no mirror of the data")
    _train(images["trainer"], s3, tmp_path / "work", datasets)
    assert open_store(s3["TENSORGATE_STORE"]).labels("boston_housing") == {"stable": 1}
    bearer = {"Authorization": f"Bearer {_key(tmp_path / 'etc', capsys)}"}
    with _served(images, s3, tmp_path) as served:
        until(lambda: _is(f"{served.mirror}/readyz", 200), seconds=120)
        until(lambda: _is(f"{served.gateway}/readyz", 200), seconds=30)
        _check_health(images["gateway"], "8080", served.gateway)
        _check_health(images["mirror"], "9100", served.mirror)
        model = f"{served.gateway}/api/models/boston_housing"
        assert httpx.get(model).status_code == 401
        example = httpx.get(model, headers=bearer).json()["card"]["signatures"]["regress"]["example"]
        answer = httpx.post(f"{model}/regress", json={"instance": example}, headers=bearer)
        assert answer.status_code == 200, answer.text
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0


def _check_health(image: Image, port: str, address: str) -> None:
    """The image's own HEALTHCHECK, at the port of this test."""
    words = [word.replace(port, address.rpartition(":")[2]) for word in image.config["Healthcheck"]["Test"][1:]]
    with running(image, Given(), words) as check:
        assert check.wait(30) == 0


def test_a_root_that_cannot_be_written_to_is_one(images: Mapping[str, Image]) -> None:
    code = "import os; print([os.access(place, os.W_OK) for place in ('/tmp', '/work', '/opt/tensorgate')])"
    with running(images["trainer"], Given(), ["python", "-c", code]) as process:
        assert process.communicate()[0] == "[True, False, False]\n"
