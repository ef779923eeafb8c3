"""`make conformance`: the recorded exchanges against a server at an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.__main__ import main
from tests.conformance.replay import serving

# The corpus's scripts leave files for the collector to close.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_a_server_at_an_address_is_compared_and_one_with_other_models_is_not_the_same(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(corpus, "methodcheck", tmp_path) as server:
        at = [f"127.0.0.1:{server.ports['grpc_port']}", "--rest", str(server.ports["rest_port"])]
        models = ["--models", f"{corpus}/models"]
        assert main([*at, *models, "--group", "methodcheck"]) == 0
        assert ", 0 with another code or value, " in capsys.readouterr().out
        assert main([*at, *models, "--group", "single"]) == 1
    assert "FATAL" in capsys.readouterr().out


def test_without_an_address_it_says_how_to_start_a_server(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr().out
    assert f"--volume {corpus}/models:/models" in told
    assert "--model_config_file=/conf/models.config" in told
