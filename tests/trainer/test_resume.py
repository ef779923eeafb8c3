"""Seeds and kills, with real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.core.errors import FailedPrecondition
from services.trainer.run_record import RunRecord, RunState, read_records
from tests.polling import until
from tests.trainer.train_tiny import main

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).with_name("train_tiny.py")


def start(home: Path) -> subprocess.Popen[bytes]:
    """Train in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([sys.executable, str(SCRIPT), str(home)], env=environment, cwd=home)


def the_run(home: Path) -> RunRecord:
    (record,) = read_records(home / "runs")
    return record


def lines(home: Path) -> list[dict[str, float]]:
    files = list((home / "runs").glob("*/metrics.jsonl"))
    return [
        json.loads(line) for file in files for line in file.read_text().splitlines(keepends=True) if line[-1] == "\n"
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A run that nobody disturbed."""
    home = tmp_path_factory.mktemp("whole")
    assert start(home).wait(120) == 0
    return the_run(home)


def test_a_killed_run_goes_on_from_its_last_epoch_and_ends_as_if_nothing_had_happened(
    whole: RunRecord, tmp_path: Path
) -> None:
    process = start(tmp_path)
    until(lambda: len(lines(tmp_path)) >= 3, seconds=120, every=0.005)
    running = the_run(tmp_path)
    assert running.state is RunState.RUNNING
    with pytest.raises(FailedPrecondition, match=f"when it has ended. Received: {running.id}"):
        main(tmp_path, running.id)
    process.kill()
    process.wait()
    killed = the_run(tmp_path)
    assert killed.state is RunState.KILLED
    assert len(lines(tmp_path)) < 25
    before = killed.seconds["fit"]
    assert before > 0, "what an epoch took is noted with it, so that a kill forgets none"

    main(tmp_path, killed.id)

    resumed = the_run(tmp_path)
    assert resumed.state is RunState.REJECTED
    assert resumed.seconds["fit"] > before
    assert resumed.metrics == whole.metrics
    assert resumed.final == whole.final
    assert [line["epoch"] for line in lines(tmp_path)] == list(range(1, 26))
    rows = (tmp_path / "runs" / killed.id / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", *map(str, range(25))]


def test_the_same_seed_gives_the_same_metrics_to_the_last_digit_in_another_process(
    whole: RunRecord, tmp_path: Path
) -> None:
    main(tmp_path)
    again = the_run(tmp_path)
    assert again.metrics == whole.metrics
    assert again.final == whole.final
    assert again.created != whole.created
