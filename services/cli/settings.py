"""Settings of the command: the trainer's, and where the gateway is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from services.core.tryout import Gateway
from services.trainer.settings import TrainerSettings


class CliSettings(TrainerSettings):
    """What every command needs to know; each field is the variable TENSORGATE_<FIELD>."""

    gateway: str = Field(default=Gateway().http, description="address that `predict` and `measure` talk to")

    key: str = Field(default="", description="the key that `predict`, `up` and `serve` send to a gateway with keys")

    namespace: str = Field(default="tensorgate", description="of the cluster that `--engine kubernetes` trains on")

    @property
    def headers(self) -> Mapping[str, str]:
        """What is sent to the gateway with each request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def logs(self) -> Path:
        """Where `up` and `serve` keep the logs of the processes they start."""
        return self.home / "logs"


def inherited_environment() -> Mapping[str, str]:
    """What the processes we start inherit: our own environment, but for the key, which is ours to send."""
    return {name: value for name, value in os.environ.items() if name.upper() != "TENSORGATE_KEY"}
