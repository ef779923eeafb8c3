"""What the gateway's settings mean."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.gateway.settings import GatewaySettings


def test_model_servers_are_named_with_commas_between_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORGATE_GATEWAY_MODEL_SERVER", "a:8500, b:8500,a:8500,")
    assert GatewaySettings().model_server == ("a:8500", "b:8500")


def test_by_default_the_model_server_is_a_neighbour() -> None:
    assert GatewaySettings().model_server == ("127.0.0.1:8500",)


def test_there_is_at_least_one_model_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORGATE_GATEWAY_MODEL_SERVER", " , ")
    with pytest.raises(ValidationError, match="model_server"):
        GatewaySettings()
