"""Configs, base paths and flags, read by TensorFlow Serving's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.errors import InvalidArgument
from services.model_server.config import ModelConfig, read_config, read_metrics_path, read_model_config_file
from services.model_server.settings import REFUSED, parse
from services.model_server.source import versions_in


def _file(folder: Path, text: str) -> Path:
    file = folder / "file.config"
    file.write_text(text)
    return file


def test_a_policy_chooses_among_the_versions_on_disk() -> None:
    on_disk = [1, 2, 5]
    assert ModelConfig("m", Path("/m")).aspired(on_disk) == {5}
    assert ModelConfig("m", Path("/m"), latest=2).aspired(on_disk) == {2, 5}
    assert ModelConfig("m", Path("/m"), latest=None).aspired(on_disk) == {1, 2, 5}
    assert ModelConfig("m", Path("/m"), specific=frozenset({1, 9})).aspired(on_disk) == {1}


def test_a_config_file_is_read_with_policies_and_labels(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        'model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow"'
        ' model_version_policy { specific { versions: 1 versions: 2 } } version_labels { key: "stable" value: 1 } } }',
    )
    (model,) = read_config(read_model_config_file(file))
    assert (model.name, model.specific, dict(model.labels)) == ("a", frozenset({1, 2}), {"stable": 1})


def test_a_config_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"Invalid protobuf file: '.*file\.config'"):
        read_model_config_file(_file(tmp_path, "nope: 1"))


def test_the_metrics_page_is_off_unless_enabled(tmp_path: Path) -> None:
    assert read_metrics_path(None) is None
    assert read_metrics_path(_file(tmp_path, "prometheus_config { enable: false }")) is None
    assert read_metrics_path(_file(tmp_path, 'prometheus_config { enable: true path: "/m" }')) == "/m"
    assert read_metrics_path(_file(tmp_path, "prometheus_config { enable: true }")) == "/monitoring/prometheus/metrics"


def test_only_folders_named_by_a_number_are_versions(tmp_path: Path) -> None:
    for name in ("1", "0002", "tmp", ".3", "4.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "5").write_text("a file")
    versions = versions_in(tmp_path)
    assert versions is not None and versions == {1: tmp_path / "1", 2: tmp_path / "0002"}
    assert versions_in(tmp_path / "absent") is None


def test_flags_are_tensorflow_servings(capsys: pytest.CaptureFixture[str]) -> None:
    settings = parse(["--port=1", "--rest_api_enable_cors_support", "--enable_grpc_healthcheck_service=false", "--x=1"])
    assert settings.port == 1
    assert settings.rest_api_enable_cors_support is True
    assert settings.enable_grpc_healthcheck_service is False
    assert settings.host == "127.0.0.1"
    assert "unknown argument: --x=1" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        parse(["--port=abc"])
    assert refused.value.code == REFUSED
