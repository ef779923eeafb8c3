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


def test_each_command_of_the_operations_page_is_run_by_a_test_or_says_what_it_needs() -> None:
    """Beside the command, or in the paragraph before it or around it."""
    page = (ROOT / "docs" / "operations.md").read_text()
    told = re.compile(r"\b[Nn]eeds?\s+(?:a|an|the|its|Docker)\b|`tests/[\w/]+\.py`\s+runs\s+these\s+lines")
    before, *blocks = page.split("```sh\n")
    leads = [text.strip().rpartition("\n\n")[2] for text in (before, *blocks)]
    commands = [
        (lead + line, line)
        for lead, block in zip(leads, blocks, strict=False)
        for line in block.partition("```")[0].splitlines()
    ]
    commands += [
        (around, around) for around in re.split(r"\n\n|```", page) if re.search(r"`(?:[.\w/]*)python -m", around)
    ]
    assert not [line for where, line in commands if not told.search(where)]
    assert all((ROOT / test).exists() for test in re.findall(r"tests/\w+/\w+\.py", page))
