"""Finding plugins."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from plugins.contract import HoldOut
from services.core.errors import FailedPrecondition, NotFound
from services.trainer.discovery import GROUP, load_entry_point, load_plugin, plugin_names
from tests.trainer.tiny_plugin import PLUGIN, Tiny

STARTERS = {"boston_housing", "digits_vae", "mnist", "nietzsche"}


def test_the_starters_come_through_the_entry_points() -> None:
    assert set(plugin_names()) >= STARTERS


def test_listing_names_imports_no_plugin_and_no_tensorflow() -> None:
    code = (
        "import sys; from services.trainer.discovery import plugin_names; plugin_names();"
        "assert not {'tensorflow', 'keras', 'plugins.mnist'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_plugin_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"mnist.*Received: 'minst'"):
        load_plugin("minst")


def test_a_plugin_is_loaded_by_its_entry_point() -> None:
    assert isinstance(load_entry_point(EntryPoint("tiny", "tests.trainer.tiny_plugin:PLUGIN", GROUP)), Tiny)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("no_such_module:PLUGIN", "ModuleNotFoundError"),
        ("tests.trainer.tiny_plugin:NOTHING", "AttributeError"),
        ("tests.trainer.tiny_plugin:Tiny", "names a Plugin instance. Received: ABCMeta"),
    ],
)
def test_a_broken_plugin_is_named_with_its_fault(value: str, told: str) -> None:
    with pytest.raises(FailedPrecondition, match=f"'broken'.*{told}"):
        load_entry_point(EntryPoint("broken", value, GROUP))


TINY = EntryPoint("tiny", "tests.trainer.tiny_plugin:PLUGIN", GROUP)


@pytest.mark.parametrize(
    ("attribute", "value", "told"),
    [
        ("title", None, "title of 'tiny' is None"),
        ("task", "classification", "task of 'tiny' is 'classification'"),
        ("metric", "accuracy", "metric of 'tiny' is 'accuracy'"),
        ("protocol", HoldOut, "protocol of 'tiny' is <class .*HoldOut'>"),
        ("variants", {}, "variants of 'tiny' is {}"),
        ("variants", ["dense"], r"variants of 'tiny' is \['dense'\]"),
        ("variants", {"dense": "one layer"}, "Each variant is a Variant. Received: {'dense': 'one layer'} of 'tiny'"),
        ("name", "small", "called as its entry point, 'tiny'. Received: 'small'"),
    ],
)
def test_a_plugin_that_does_not_state_what_it_is_is_told_so(
    attribute: str, value: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PLUGIN, attribute, value, raising=False)
    with pytest.raises(FailedPrecondition, match=told):
        load_entry_point(TINY)


def test_a_module_that_fails_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broken_plugin"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "data.py").write_text("import json\n\nRADII = json.lods('1')\n")
    (package / "plugin.py").write_text("from broken_plugin import data\n")
    (package / "typed.py").write_text("PLUGIN = (\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(FailedPrecondition, match=r"no attribute 'lods' \(data.py, line 3: RADII = json.lods\('1'\)\)$"):
        load_entry_point(EntryPoint("broken", "broken_plugin.plugin:PLUGIN", GROUP))
    with pytest.raises(FailedPrecondition, match=r"SyntaxError: .* \(typed.py, line 1\)$"):
        load_entry_point(EntryPoint("broken", "broken_plugin.typed:PLUGIN", GROUP))
