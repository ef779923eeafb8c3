"""Settings of the mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.settings import Names


class MirrorSettings(BaseSettings):
    """Each field is the variable TENSORGATE_MIRROR_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="TENSORGATE_MIRROR_", frozen=True, extra="forbid")

    store: str = Field(default=".tensorgate/store", description="folder or s3://bucket/prefix of the published models")
    folder: Path = Field(default=Path(".tensorgate/mirror"), description="where the model server finds the models")
    cache: Path | None = Field(
        default=None, description="files by their hash, which mirrors may share; none: .cache in the folder"
    )
    disk_bytes: int | None = Field(
        default=None, gt=0, description="most that versions and cache take; none: any, and the cache keeps nothing more"
    )
    model_server: str = Field(default="127.0.0.1:8500", description="host:port of TensorFlow Serving's gRPC API")
    only: Names | None = Field(default=None, description="models that it brings, with commas between; none given: all")
    without: Names = Field(default=(), description="models that it does not bring, as other mirrors do")
    poll_seconds: float = Field(default=0.5, gt=0, description="between two looks at the store and the model server")
    # As long as the gateway lets a request take: a text that a version has begun is finished by it.
    grace_seconds: float = Field(
        default=30.0, ge=0, description="a version stays loaded this long after it is replaced"
    )
    metrics_port: int | None = Field(default=None, description="port of /metrics, /livez and /readyz; none: no pages")
    host: str = Field(default="127.0.0.1", description="address the pages listen on")

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.only is not None and self.without:
            raise ValueError(
                "At most one of TENSORGATE_MIRROR_ONLY and TENSORGATE_MIRROR_WITHOUT says which models it brings. "
                f"Received: {','.join(self.only)!r} and {','.join(self.without)!r}"
            )
        return self
