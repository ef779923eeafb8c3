"""Settings of the command: where models, runs and data are kept. The only reader of the environment in this room."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CliSettings(BaseSettings):
    """What every command needs to know; each field is the variable TENSORGATE_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="TENSORGATE_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".tensorgate"), description="folder of the store, runs, datasets and logs")
    store: str = Field(default="", description="folder or s3://bucket/prefix; empty: <home>/store")
    gateway: str = Field(default="http://127.0.0.1:8080", description="address that `predict` talks to")

    @property
    def store_url(self) -> str:
        """The store that was configured, or the one in the home folder."""
        return self.store or str(self.home / "store")

    @property
    def runs(self) -> Path:
        """Where run folders are kept."""
        return self.home / "runs"

    @property
    def logs(self) -> Path:
        """Where `up` and `serve` keep the logs of the processes they start."""
        return self.home / "logs"


def inherited_environment() -> Mapping[str, str]:
    """What the processes we start inherit: our own environment."""
    return dict(os.environ)
