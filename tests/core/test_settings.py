"""Reading settings."""

from __future__ import annotations

import pytest
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.errors import InvalidArgument
from services.core.settings import read_settings


class Example(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")

    port: int = 1


def test_a_field_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_PORT", "2")
    assert read_settings(Example).port == 2


def test_a_misspelt_variable_is_named_with_the_ones_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_PROT", "2")
    with pytest.raises(InvalidArgument, match=r"EXAMPLE_PORT\. Received: EXAMPLE_PROT"):
        read_settings(Example)
