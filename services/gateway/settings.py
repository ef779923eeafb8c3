"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.settings import GRPC_PORT, HTTP_PORT


class GatewaySettings(BaseSettings):
    """Each field is the variable TENSORGATE_GATEWAY_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="TENSORGATE_GATEWAY_", frozen=True, extra="forbid")

    store: str = Field(default=".tensorgate/store", description="folder or s3://bucket/prefix of the published models")
    model_server: str = Field(default="127.0.0.1:8500", description="host:port of TensorFlow Serving's gRPC API")
    http_host: str = Field(default="127.0.0.1", description="address to listen on, for REST and gRPC")
    http_port: int = Field(default=HTTP_PORT, ge=0, le=65535, description="REST port; 0 picks a free one")
    grpc_port: int = Field(default=GRPC_PORT, ge=0, le=65535, description="gRPC port; 0 picks a free one")
    body_bytes: int = Field(default=64 << 20, gt=0, description="largest request body or gRPC message")
    instances: int = Field(default=1024, gt=0, description="most instances in one request")
    pixels: int = Field(default=32_000_000, gt=0, description="most pixels of one picture, before it is decoded")
    timeout_seconds: float = Field(default=30.0, gt=0, description="time for a request that does not say its own")
    poll_seconds: float = Field(default=0.3, gt=0, description="between two looks at the store and the model server")
    drain_seconds: float = Field(default=10.0, gt=0, description="time for running requests when told to stop")
    access_log: bool = Field(default=False, description="one JSON line on standard error for each REST request")
