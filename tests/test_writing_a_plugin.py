"""docs/writing-a-plugin.md and docs/own-model.md, run from top to bottom in an empty folder."""

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
GATEWAY = "http://127.0.0.1:8080"


def _blocks(page: str) -> list[tuple[str, str]]:
    """The page's shell blocks in order: (where it runs, its text)."""
    return re.findall(r"^```sh ?(background)?\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S)


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


def _all_live() -> bool:
    """Each model that the gateway knows can be called."""
    try:
        models = httpx.get(f"{GATEWAY}/api/models").json()["models"]
    except httpx.TransportError:
        return False
    return bool(models) and all(model["versions"] for model in models)


def _walked(page: str, folder: Path, shell: Mapping[str, str]) -> tuple[str, str]:
    """What the page's commands print: those before the models are served, and those after."""
    folder.mkdir()
    blocks = _blocks(page)
    serve = next(text for where, text in blocks if where)
    first, second, third = (text for where, text in blocks if not where)

    def run(text: str) -> str:
        return subprocess.run(
            ["bash", "-ec", text], cwd=folder, env=shell, check=True, stdout=subprocess.PIPE, text=True, timeout=240
        ).stdout

    printed = run(first) + run(second)
    with _background(serve, folder, shell):
        until(_all_live, seconds=60)
        return printed, run(third)


def test_the_page_of_plugins_works_as_written(tmp_path: Path, shell: Mapping[str, str]) -> None:
    folder = tmp_path / "work"
    printed, answers = _walked("writing-a-plugin.md", folder, shell)
    assert "rings" in printed
    assert list(folder.glob(".tensorgate/runs/*/report.html"))
    assert [line.split()[0] for line in answers.splitlines()[:2]] == ["inner", "outer"]


def test_the_page_of_own_models_works_as_written(tmp_path: Path, shell: Mapping[str, str]) -> None:
    printed, answers = _walked("own-model.md", tmp_path / "work", shell)
    assert all(f"published {model}/1 as stable" in printed for model in ("prices", "bars", "pixels"))
    assert "200 dollars" in answers.splitlines()[0]
    assert '{"values":[200.0]},{"values":[248.0]}' in answers
    assert '{"predictions":[[200.0]]}' in answers
    assert '"label":"upright"' in answers or '"label":"level"' in answers


def test_the_new_plugins_own_tests_pass(tmp_path: Path, shell: Mapping[str, str]) -> None:
    commands = "tensorgate new-plugin rings && cd rings && PYTHONPATH=. python -m pytest -q -p no:cacheprovider"
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, env=shell, check=True, timeout=120)
