"""Which flags and models let the server start, which do not, and what it says then."""

from __future__ import annotations

import json
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.replay import relocated
from tests.model_server.server_process import start, stop

CASES = (
    "warm_good",
    "warm_badinput",
    "warm_badfile",
    "warm_empty",
    "broken",
    "warm_toomany",
    "ghost",
    "no_base_path",
    "unknown_flag",
    "bad_flag_value",
    "label_unavailable_flag_off",
    "label_available_flag_on",
    "bad_config_text",
    "empty_model_list",
    "method_check_on_keras",
)
AT_ONCE = 3
SLOWEST_SECONDS = 60.0
# A server that waits for a base path prints nothing.
SILENT_SECONDS = 6.0


@dataclass(frozen=True)
class Outcome:
    exit_code: int | None
    ports: Mapping[str, int] | None
    errors: str


def _outcome(corpus: Path, recorded: Mapping[str, Any], folder: Path) -> Outcome:
    if recorded["config"]:
        (folder / "models.config").write_text(relocated(recorded["config"], corpus, folder))
    if "warm_toomany" in str(recorded["flags"]):
        _make_toomany(corpus, folder)
    source = folder if "warm_toomany" in str(recorded["flags"]) else corpus
    flags = [relocated(flag, source, folder) for flag in recorded["flags"]]
    log = folder / "log"
    process = start(["--port=0", "--rest_api_port=0", *flags], log)
    try:
        line = _first_line(process, SILENT_SECONDS if "ghost" in str(flags) else SLOWEST_SECONDS)
        exit_code = process.wait(30) if line == "" else None
    finally:
        stop(process)
    errors = log.read_text().replace(f"{source}/models/", "/models/").replace(f"{folder}/", "/conf/")
    return Outcome(exit_code, json.loads(line) if line else None, errors)


def _first_line(process: subprocess.Popen[str], seconds: float) -> str | None:
    """The first line of output; empty when the process ended, None when it stays silent."""
    assert process.stdout is not None
    spoken, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if spoken else None


def _make_toomany(corpus: Path, folder: Path) -> None:
    """1001 warm-up records: the first record of warm_good, over and over."""
    model = folder / "models/warm_toomany/1"
    shutil.copytree(corpus / "models/warm_good/1", model)
    file = model / "assets.extra/tf_serving_warmup_requests"
    framed = file.read_bytes()
    record = framed[: int.from_bytes(framed[:8], "little") + 16]
    file.write_bytes(record * 1001)


@pytest.fixture(scope="module")
def startups(corpus: Path) -> Mapping[str, Any]:
    recorded = json.loads((corpus / "timelines.json").read_text())["startup"]
    assert set(recorded) == set(CASES)
    return recorded


@pytest.fixture(scope="module")
def outcomes(
    corpus: Path, startups: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Outcome]]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(_outcome, corpus, startups[name], tmp_path_factory.mktemp(name)) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_the_server_starts_or_refuses_as_recorded(
    name: str, outcomes: Mapping[str, Future[Outcome]], startups: Mapping[str, Any]
) -> None:
    outcome, recorded = outcomes[name].result(), startups[name]
    assert outcome.exit_code == recorded["exit_code"]
    assert (outcome.ports is not None) == recorded["grpc_port_open"] == recorded["rest_port_open"]
    for line in recorded["last_error_lines"]:
        assert line in outcome.errors
