"""Documents tell the truth: names, files and packages they mention exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from services.trainer.results.table import read_results, results_page
from tests.conformance import known_differences

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "plugins").glob("*/README.md"))]


def _dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [line for name in extras if name != "dev" for line in extras[name]]
    return {re.split(r"[\[>=<]", line)[0] for line in wanted}


def test_each_dependency_is_named_with_its_reason() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.split("## Dependencies", 1)[1]
    missing = [name for name in _dependencies() if not re.search(rf"^\|[^|]*\b{re.escape(name)}\b[^|]*\|", table, re.M)]
    assert not missing


def test_known_differences_are_quoted_with_their_reasons() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for record, reason in (*known_differences.TEXTS.items(), *known_differences.GATEWAY.items()):
        assert any(record in line and reason in line for line in lines), record


def test_the_results_are_what_the_records_say() -> None:
    results = read_results(ROOT / "docs" / "results")
    assert (ROOT / "docs" / "results.md").read_text() == results_page(results)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert not [target for target in targets if not (document.parent / target).exists()]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
