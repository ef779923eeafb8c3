"""Every recorded exchange of a real TensorFlow Serving, replayed against the embedded model server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance.known_differences import METRICS, ON_SOME_PROCESSORS, TEXTS
from tests.conformance.replay import cases, replay

# The corpus's scripts leave files for the collector to close.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

GROUPS = (
    "reload_a",
    "reload_ghost",
    "main",
    "single",
    "cors",
    "resttimeout",
    "methodcheck",
    "reload_b",
    "warmup_good",
)
AT_ONCE = 3

Differences = Mapping[str, Sequence[str]]


@pytest.fixture(scope="module")
def replays(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Differences]]]:
    """One server process a group, a few at a time: two groups mostly wait."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {group: pool.submit(replay, corpus, group, tmp_path_factory.mktemp(group)) for group in GROUPS}


@pytest.mark.parametrize("group", GROUPS)
def test_every_code_value_and_text_matches(group: str, replays: Mapping[str, Future[Differences]]) -> None:
    differences = replays[group].result()
    metric_lines = {f"metric missing: {name}" for name in METRICS}
    unexplained = {
        case: remaining
        for case, lines in differences.items()
        if (remaining := [line for line in lines if line not in metric_lines and not _is_known_text(case, line)])
    }
    assert not unexplained


def _is_known_text(case: str, line: str) -> bool:
    return case in TEXTS and line.startswith("text differs")


def test_the_table_of_known_differences_has_no_stale_entry(replays: Mapping[str, Future[Differences]]) -> None:
    seen = {case: lines for group in GROUPS for case, lines in replays[group].result().items()}
    assert not TEXTS.keys() - seen.keys() - ON_SOME_PROCESSORS
    metric_lines = {line for lines in seen.values() for line in lines if line.startswith("metric missing")}
    assert metric_lines == {f"metric missing: {name}" for name in METRICS}


def test_every_recorded_exchange_belongs_to_a_group_that_is_replayed(corpus: Path) -> None:
    assert set(GROUPS) == set(json.loads((corpus / "groups.json").read_text()))
    assert sum(len(cases(corpus, "grpc", group)) for group in GROUPS) == 201
    assert sum(len(cases(corpus, "rest", group)) for group in GROUPS) == 235
