"""docs/writing-a-plugin.md, run from top to bottom in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.polling import until

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "writing-a-plugin.md").read_text()
GATEWAY = "http://127.0.0.1:8080"


def _blocks() -> list[tuple[str, str]]:
    """The page's shell blocks in order: (where it runs, its text)."""
    return re.findall(r"^```sh ?(background)?\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture
def shell(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a shell in which the page's commands install nothing into this checkout's .venv."""
    venv.create(tmp_path / "venv", with_pip=False)
    scripts = tmp_path / "venv" / "bin"
    paths = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    # A .pth file is read like a site folder's: this venv sees ours, editable installs too.
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    command = scripts / "tensorgate"
    command.write_text(f'#!/bin/sh\nexec {scripts}/python -m services.cli "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "HOME": str(tmp_path)}


@contextmanager
def _background(script: str, folder: Path, shell: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen(["bash", "-ec", f"exec {script}"], cwd=folder, env=shell)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def _rings_is_live() -> bool:
    try:
        models = httpx.get(f"{GATEWAY}/api/models").json()["models"]
    except httpx.TransportError:
        return False
    return any(model["name"] == "rings" and model["versions"] for model in models)


def test_the_page_works_as_written(tmp_path: Path, shell: Mapping[str, str]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    printed = ""
    blocks = _blocks()
    serve = next(text for where, text in blocks if where)
    first, second, third = (text for where, text in blocks if not where)
    for text in (first, second):
        printed += subprocess.run(
            ["bash", "-ec", text], cwd=folder, env=shell, check=True, stdout=subprocess.PIPE, text=True, timeout=240
        ).stdout
    assert "rings" in printed
    assert list(folder.glob(".tensorgate/runs/*/report.html"))
    with _background(serve, folder, shell):
        until(_rings_is_live, seconds=60)
        answers = subprocess.run(
            ["bash", "-ec", third], cwd=folder, env=shell, check=True, stdout=subprocess.PIPE, text=True, timeout=60
        ).stdout
    assert answers.splitlines()[0].startswith("inner")
    assert answers.splitlines()[1].startswith("outer")


def test_the_new_plugins_own_tests_pass(tmp_path: Path, shell: Mapping[str, str]) -> None:
    commands = "tensorgate new-plugin rings && cd rings && PYTHONPATH=. python -m pytest -q -p no:cacheprovider"
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, env=shell, check=True, timeout=120)
