"""Finding plugins."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from services.core.errors import FailedPrecondition, NotFound
from services.trainer.discovery import GROUP, load_entry_point, load_plugin, plugin_names
from tests.trainer.tiny_plugin import Tiny

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
