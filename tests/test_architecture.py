"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = [
    path
    for room in ("services", "plugins")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "stubs" not in path.parts and not path.name.startswith(("test_", "conftest"))
]
MOST_LINES_A_FILE = 320
MOST_LINES_A_FUNCTION = 50


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _reads_environment(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        for node in ast.walk(ast.parse(path.read_text()))
    )


def test_imports_follow_the_contracts_in_pyproject() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_noun_of_readable_size(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES_A_FILE
    too_long = [
        f"{function.name}: {length} lines"
        for function in _functions(path)
        if (length := (function.end_lineno or function.lineno) - function.lineno + 1) > MOST_LINES_A_FUNCTION
    ]
    assert not too_long


def test_a_plugin_imports_no_other_plugin() -> None:
    names = {path.parent.name for path in OURS if path.name == "plugin.py"}
    strange = [
        f"{path.relative_to(ROOT)}: {node.module}"
        for path in OURS
        for node in ast.walk(ast.parse(path.read_text()))
        if path.parent.name in names and isinstance(node, ast.ImportFrom) and node.module
        if node.module.split(".")[:2] in [["plugins", name] for name in names - {path.parent.name}]
    ]
    assert names and not strange


def test_only_settings_modules_read_the_environment() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for path in OURS
        if not path.name.endswith("settings.py") and _reads_environment(path)
    ]
    assert not readers


def test_logging_is_set_up_in_one_place() -> None:
    assert [path.name for path in OURS if "logging.basicConfig" in path.read_text()] == ["telemetry.py"]


def test_every_package_and_module_says_why_it_exists() -> None:
    silent = [str(path.relative_to(ROOT)) for path in OURS if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
    assert not [path for path in OURS if path.stem in drawers]
