"""A GPU, where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.core.tensorflow_settings import share_gpu
from tests.gpu.measure import GROWS, TWO, WAYS, Trained, gpus, main, ways, why_not, written


@pytest.mark.timeout(1800)
def test_training_and_serving_on_a_gpu_are_measured(tmp_path: Path) -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    if "TENSORGATE_DATASETS" not in os.environ:
        pytest.skip("TENSORGATE_DATASETS names no folder of datasets")
    main(tmp_path / "gpu.md", epochs=1)
    page = (tmp_path / "gpu.md").read_text()
    assert all(f"| {way} |" in page for way in ways(len(gpus())))
    assert page.count("max_execution_batch_size") == 2


def test_two_gpus_are_measured_where_there_are_two() -> None:
    assert set(WAYS) - set(ways(1)) == {TWO}
    assert list(ways(2)) == list(WAYS)


def test_memory_grows_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GROWS, raising=False)
    share_gpu()
    assert os.environ[GROWS] == "true"
    monkeypatch.setenv(GROWS, "false")
    share_gpu()
    assert os.environ[GROWS] == "false"


@pytest.mark.timeout(60)
def test_the_command_lets_it_grow() -> None:
    program = (
        f"import atexit, os, sys; atexit.register(lambda: print(os.environ['{GROWS}'])); sys.argv[1:] = ['--help']; "
        "from services.cli.__main__ import main; main()"
    )
    environment = {name: value for name, value in os.environ.items() if name != GROWS}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1:] == ["true"], run.stderr


def test_the_page_shows_what_was_measured() -> None:
    page = written(["a GPU, 1.2"], [Trained("as it is", 12.34, "accuracy 0.9900", 4321)], {"GPU": "rows\n1\n"}, 5)
    assert "on a GPU, 1.2, with" in page
    assert "| as it is | 12.3 | accuracy 0.9900 | 4,321 |" in page
    assert "### On the GPU\n\n```\nrows\n1\n```\n" in page
