"""The Dockerfile and what it installs, without building it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY, ROOT, tool

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCKS = sorted((DEPLOY / "requirements").glob("*.lock"))


def test_hadolint_has_nothing_to_say() -> None:
    run = subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_bases_are_pinned_by_digest() -> None:
    bases = dict(re.findall(r"^ARG (\S+_IMAGE)=(\S+)$", DOCKERFILE, re.MULTILINE))
    assert bases.keys() == {"PYTHON_IMAGE", "BARE_IMAGE"}
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", base) for base in bases.values())
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    foreign = [name for name in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) if name not in stages]
    assert set(foreign) == {"${PYTHON_IMAGE}", "${BARE_IMAGE}"}


def test_the_version_is_the_projects() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [version]


def _pins(lock: Path) -> set[str]:
    """What is installed: `sys_platform == 'never'` is how pyproject.toml leaves tensorflow's own wheel out."""
    lines = re.findall(r"^(\S+==\S+)(.*)", lock.read_text(), re.MULTILINE)
    return {pin for pin, marker in lines if "'never'" not in marker}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_an_image_holds_the_versions_that_are_tested(lock: Path) -> None:
    assert _pins(lock) <= _pins(ROOT / "requirements.lock")


def test_the_gateway_holds_no_tensorflow() -> None:
    names = {pin.partition("==")[0] for pin in _pins(DEPLOY / "requirements" / "serving.lock")}
    assert "tensorflow-serving-api" in names
    assert not {"tensorflow", "tensorflow-cpu", "keras"} & names


def test_the_messages_are_a_few_files_that_need_nothing_else_of_tensorflow(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(DEPLOY / "messages.py"), str(tmp_path)], check=True, cwd=ROOT)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and all(path.name.endswith("_pb2.py") for path in files)
    assert sum(path.stat().st_size for path in files) < 1 << 20
    (tmp_path / "tensorflow" / "__init__.py").touch()  # or the installed package would be found before it
    code = "import services.core.tfs as tfs; print(tfs.tensor_pb2.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert Path(run.stdout.strip()).is_relative_to(tmp_path), run.stderr
