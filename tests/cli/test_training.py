"""What commands before publishing print and refuse, with a plugin that is installed as anyone's is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from services.core.errors import DataLoss, FailedPrecondition, InvalidArgument
from services.trainer.run_folder import RunFolder
from services.trainer.run_record import RunState, read_record, write_record


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and the tiny plugin among those that are installed."""
    installed = tmp_path / "site" / "tiny-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[tensorgate.plugins]\ntiny = tests.trainer.tiny_plugin:PLUGIN\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "home"


def _run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, words, env={"TENSORGATE_HOME": str(home)})


def _strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_one_document_and_progress_goes_elsewhere(home: Path) -> None:
    refused = _run(home, "train", "tiny", "--variant", "stuck", "--set", "epochs=1", "--json")
    assert (refused.exit_code, _strict_json(refused.stdout)["state"]) == (3, "rejected")
    assert "epoch 1/1" in refused.stderr
    compared = _run(home, "compare", "tiny", "dense", "stuck", "--set", "epochs=1", "--json")
    assert [one["variant"] for one in _strict_json(compared.stdout)["variants"]] == ["dense", "stuck"]
    assert "epoch 1/1" in compared.stderr


def test_figures_that_are_no_numbers_are_null_in_json(home: Path) -> None:
    refused = _run(home, "train", "tiny", "--set", "epochs=1", "--set", "learning_rate=nan", "--json")
    assert refused.exit_code == 3
    assert _strict_json(refused.stdout)["metrics"]["loss"] is None
    assert _strict_json(_run(home, "runs", "--json").stdout)[0]["metrics"]["loss"] is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_a_damaged_record_hides_no_other_run_and_is_named(content: bytes, home: Path) -> None:
    record = home / "runs" / "damaged" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_bytes(content)
    assert _run(home, "runs").exit_code == 0
    error = _run(home, "train", "tiny", "--resume", "damaged").exception
    assert isinstance(error, DataLoss) and str(record) in error.message


def test_a_model_has_a_name_and_it_is_read_before_anything_is_trained(home: Path) -> None:
    for name in ("", "a b"):
        for words in (("train", "tiny"), ("ensemble", "tiny/dense", "tiny/dense")):
            error = _run(home, *words, "--model", name).exception
            assert isinstance(error, InvalidArgument) and f"Received: {name!r}" in error.message
    assert not list(home.glob("runs/*"))


def test_a_place_that_cannot_be_written_to_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {**os.environ, "TENSORGATE_HOME": str(tmp_path / "file")}
    command = [sys.executable, "-m", "services.cli"]
    served = subprocess.run([*command, "serve"], env=environment, capture_output=True, text=True)
    assert (served.returncode, served.stderr.count("\n")) == (1, 1)
    assert str(tmp_path / "file") in served.stderr
    with Path("/dev/full").open("w") as full:
        listed = subprocess.run([*command, "models"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert listed.returncode == 1
    assert "No space left" in listed.stderr and "Traceback" not in listed.stderr


@pytest.mark.parametrize("name", ["Rings", "class", "été", "_rings", "rings_"])
def test_a_new_plugin_has_a_name_that_can_be_installed_and_trained(name: str, home: Path, tmp_path: Path) -> None:
    error = _run(home, "new-plugin", name, "--folder", str(tmp_path)).exception
    assert isinstance(error, InvalidArgument) and f"Received: {name!r}" in error.message
    assert not (tmp_path / name).exists()


def test_a_new_plugin_says_what_to_type_next(home: Path, tmp_path: Path) -> None:
    made = _run(home, "new-plugin", "squares", "--folder", str(tmp_path / "my plugins"))
    assert f"pip install --editable '{tmp_path}/my plugins/squares' &&" in made.stdout
    (tmp_path / "file").touch()
    error = _run(home, "new-plugin", "squares", "--folder", str(tmp_path / "file")).exception
    assert isinstance(error, InvalidArgument) and "Not a directory" in error.message


def test_a_run_whose_process_is_gone_is_told_apart_from_one_that_runs(home: Path) -> None:
    done = _strict_json(_run(home, "train", "tiny", "--variant", "stuck", "--set", "epochs=1", "--json").stdout)
    folder = RunFolder(home / "runs" / done["id"])
    assert "--resume" not in _run(home, "runs").stdout
    write_record(folder.path, read_record(folder.path).model_copy(update={"state": RunState.RUNNING}))
    with closing(folder.hold()):
        assert "running" in _run(home, "runs").stdout
        error = _run(home, "train", "tiny", "--resume", folder.id).exception
        assert isinstance(error, FailedPrecondition) and folder.id in error.message
    listed = _run(home, "runs").stdout
    assert "killed" in listed and "goes on: tensorgate train PLUGIN --resume RUN" in listed
    assert _run(home, "train", "tiny", "--resume", folder.id).exit_code == 3  # the gate's, as the first time


def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_word() -> None:
    code = """
import sys, time

class Slow:
    def find_spec(self, name, path, target=None):
        if name == "services.cli.app":
            print("loading", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
from services.cli.__main__ import main
main()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], text=True, stdout=pipe, stderr=pipe) as command:
        assert command.stdout is not None and command.stdout.readline() == "loading\n"
        command.send_signal(signal.SIGINT)
        assert command.communicate(timeout=30) == ("", "")
    assert command.returncode == -signal.SIGINT
