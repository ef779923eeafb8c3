"""Settings of the gateway."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core.errors import FailedPrecondition, InvalidArgument
from services.core.settings import GRPC_PORT, HTTP_PORT, Names

_OTLP = "http/protobuf"


class GatewaySettings(BaseSettings):
    """Each field is the variable TENSORGATE_GATEWAY_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="TENSORGATE_GATEWAY_", frozen=True, extra="forbid")

    store: str = Field(default=".tensorgate/store", description="folder or s3://bucket/prefix of the published models")
    model_server: Names = Field(
        default=("127.0.0.1:8500",),
        min_length=1,
        description="host:port of TensorFlow Serving's gRPC API; several, with commas between, share the calls",
    )
    rare: Names = Field(default=(), description="models whose model server is started when they are asked for")
    rare_server: Names = Field(default=(), description="host:port of those model servers, which may be away")
    server_calls: int = Field(default=16, gt=0, description="most calls in flight at one model server")
    batch_rows: int = Field(default=128, gt=0, description="most rows in one call (`tensorgate tune-batching` says)")
    hedge_seconds: float | None = Field(
        default=None, gt=0, description="ask a second model server when the first takes longer; none: never"
    )
    http_host: str = Field(default="127.0.0.1", description="address to listen on, for REST and gRPC")
    http_port: int = Field(default=HTTP_PORT, ge=0, le=65535, description="REST port; 0 picks a free one")
    grpc_port: int = Field(default=GRPC_PORT, ge=0, le=65535, description="gRPC port; 0 picks a free one")
    operations_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of /livez, /readyz and /metrics alone; none: the REST port"
    )
    workers: int = Field(default=1, ge=1, description="processes that answer, all on the same ports")
    keys: Path | None = Field(default=None, description="keys that may ask (`tensorgate key`); none: anyone")
    allow_anyone: bool = Field(default=False, description="without keys, listen where other machines can ask, too")
    body_bytes: int = Field(default=64 << 20, gt=0, description="largest request body or gRPC message")
    instances: int = Field(default=1024, gt=0, description="most instances in one request")
    pixels: int = Field(default=32_000_000, gt=0, description="most pixels of one picture, before it is decoded")
    timeout_seconds: float = Field(default=30.0, gt=0, description="time for a request that does not say its own")
    poll_seconds: float = Field(default=0.3, gt=0, description="between two looks at the store and the model server")
    drain_seconds: float = Field(default=10.0, gt=0, description="time for running requests when told to stop")
    access_log: bool = Field(default=False, description="one JSON line on standard error for each REST request")

    @property
    def servers(self) -> tuple[str, ...]:
        """All model servers, each once; without rare models nobody waits for those that would have them."""
        return tuple(dict.fromkeys((*self.model_server, *(self.rare_server if self.rare else ()))))

    def check_address(self) -> None:
        """Raises FailedPrecondition where other machines could ask without a key and nobody has said that they may."""
        if self.keys is None and not self.allow_anyone and not _is_loopback(self.http_host):
            raise FailedPrecondition(
                "Where other machines can ask, the gateway wants keys: name a file of them in TENSORGATE_GATEWAY_KEYS "
                "(`tensorgate key` makes one), or set TENSORGATE_GATEWAY_ALLOW_ANYONE=true. "
                f"Received: TENSORGATE_GATEWAY_HTTP_HOST {self.http_host!r}, and no keys"
            )


class TracesSettings(BaseSettings):
    """OpenTelemetry's own variables, as far as they say whether there are traces. Its library reads the others."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", env_ignore_empty=True, frozen=True)

    exporter_otlp_endpoint: str = Field(default="", description="the collector, http://host:4318; none: no traces")
    exporter_otlp_traces_endpoint: str = Field(default="", description="the same with its path, for traces alone")
    exporter_otlp_protocol: str = Field(default=_OTLP, description="this and no other")
    exporter_otlp_traces_protocol: str = Field(default="", description="the same, for traces alone")
    traces_exporter: str = Field(default="otlp", description="none: no traces")
    sdk_disabled: bool = Field(default=False, description="true: no traces")

    @property
    def endpoint(self) -> str | None:
        """The collector; None: no traces. Raises InvalidArgument for one that cannot be asked."""
        endpoint = self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint
        if not endpoint or self.sdk_disabled or self.traces_exporter == "none":
            return None
        protocol = self.exporter_otlp_traces_protocol or self.exporter_otlp_protocol
        if protocol != _OTLP or not endpoint.startswith(("http://", "https://")):
            raise InvalidArgument(
                f"Traces go to an http:// or https:// address (OTEL_EXPORTER_OTLP_ENDPOINT) as {_OTLP} "
                f"(OTEL_EXPORTER_OTLP_PROTOCOL). Received: {endpoint!r} and {protocol!r}"
            )
        return endpoint


def _is_loopback(host: str) -> bool:
    """A name may mean another address tomorrow."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def worker_environment(counts: Path) -> Mapping[str, str]:
    """What a worker inherits: our own environment, and the folder where it counts (prometheus-client's variable)."""
    return {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(counts)}
