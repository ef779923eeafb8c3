"""What a person says of a model from a file, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.core.errors import TensorgateError


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ([], "A model has --labels, or a --unit, or says --task classify or regress. Received: none"),
        (["--task", "explain"], "Received: explain"),
        (["--labels", "cat,cat"], "no two are the same. Received: cat,cat"),
        (["--labels", "cat,"], "Names are not empty"),
        (["--unit", "m", "--pixels", "0-1"], "as 0:1, -1:1 or 0:255. Received: '0-1'"),
        (
            ["--unit", "m", "--example", "list.json"],
            r"An example is an instance, an object by input. Received: list.json",
        ),
        (["--unit", "m", "--example", "model.keras"], r"An example is an instance in JSON. Received: model.keras"),
        (["--unit", "m"], "Keras loads by itself"),
        (["--labels", "@names.txt"], "Keras loads by itself"),
    ],
)
def test_what_cannot_be_published_is_told_in_a_sentence(
    said: list[str], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {"model.keras": "nothing", "list.json": "[1]", "names.txt": "cat\ndog\n"}.items():
        Path(name).write_text(content)
    result = CliRunner().invoke(app, ["publish", "model.keras", "mine", *said])
    assert isinstance(result.exception, TensorgateError)
    assert rule in result.exception.message
    assert not (tmp_path / ".tensorgate" / "store").exists()
