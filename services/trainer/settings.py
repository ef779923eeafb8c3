"""Settings of the trainer. The only reader of the environment in this room."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class TrainerSettings(BaseSettings):
    """Each field is the variable TENSORGATE_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="TENSORGATE_", frozen=True, extra="ignore")

    datasets: str = Field(default="", description="mirror of the datasets: a folder, s3://bucket/prefix or https://...")
