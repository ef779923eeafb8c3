"""Lines of docs/results.md, made anew by one command with real processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from services.cli.reproduce import Line, lines_of
from services.core.errors import InvalidArgument, NotFound
from services.trainer.results.table import read_results
from tests.e2e.conftest import Home

RECORDS = Path(__file__).parent.parent.parent / "docs" / "results"


def test_lines_are_trained_served_measured_and_written_and_one_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    home, page, records = Home(tmp_path / "home"), tmp_path / "results.md", tmp_path / "results"
    records.mkdir()
    for name, seed in (("boston_housing-dense", -1), ("clock-angles", 1)):
        record = json.loads((RECORDS / f"{name}.json").read_text())
        (records / f"{name}.json").write_text(json.dumps({**record, "seed": seed, "test": 0, "served": 0, "size": 0}))
    run = home.run("reproduce", "--page", str(page))
    assert run.returncode == 1
    assert "not reproduced: boston_housing/dense" in run.stdout
    failed, made = read_results(records)
    assert failed.seed == -1 and failed.served == 0
    assert (made.plugin, made.variant, made.seed, made.parameters) == ("clock", "angles", 1, 0)
    assert made.test == made.served == 1
    assert made.size and made.config["seed"] == 1 and made.metrics["accuracy"] == 1
    assert "| clock | angles | accuracy |" in page.read_text()
    assert json.loads(home.run("models", "--json").stdout) == []


def test_names_ask_for_a_variant_a_plugin_or_everything_recorded(tmp_path: Path) -> None:
    shutil.copy(RECORDS / "boston_housing-dense.json", tmp_path)
    record = json.loads((RECORDS / "mnist-dense.json").read_text())
    (tmp_path / "mnist-dense.json").write_text(json.dumps({**record, "seed": 7}))
    assert lines_of([], tmp_path) == [Line("boston_housing", "dense", 1), Line("mnist", "dense", 7)]
    assert lines_of(["mnist/dense"], tmp_path) == [Line("mnist", "dense", 7)]
    assert lines_of(["clock"], tmp_path) == [Line("clock", one, 1) for one in ("pixels", "hand_tips", "angles")]


@pytest.mark.parametrize("name", ["no_such_plugin", "mnist/no_such_variant"])
def test_a_name_that_is_not_installed_is_refused_before_anything_starts(name: str, tmp_path: Path) -> None:
    with pytest.raises((NotFound, InvalidArgument), match="Received"):
        lines_of([name], tmp_path)
